"""`cloudmlops image`: what a container image of steps, or of the scoring server, is built from."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from string import Template
from typing import Final

import click

from cloudmlops.cli.session import Session, session_options
from cloudmlops.errors import ConflictError

_SETTINGS: Final = {"steps": ("image", "environment"), "serving": ("serving_image", "serving_image")}
"""What names an image of a kind in a target: of vertex, and of azureml."""
_CLOUDS: Final = {"vertex": "google-cloud-aiplatform", "azureml": "azure-ai-ml"}
"""The extras of clouds, and what is installed with them."""
_TEMPLATES: Final = Path(__file__).with_name("dockerfiles")


@click.command()
@session_options
@click.argument("kind", type=click.Choice(sorted(_SETTINGS)))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over files that are there.")
def image(session: Session, kind: str, folder: Path, force: bool) -> None:
    """Write a Dockerfile and its requirements into FOLDER, with this Python and the packages of this environment.

    Nothing is built: take out of the requirements what is not needed, and build where you build images.
    """
    pinned, left_out = _requirements()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    template = Template((_TEMPLATES / f"{kind}.Dockerfile").read_text(encoding="utf-8"))
    files = {
        folder / "Dockerfile": template.substitute(python=python),
        folder / "requirements.txt": "".join(f"{line}\n" for line in pinned),
    }
    if not force and (there := [file.name for file in files if file.exists()]):
        raise ConflictError(
            f"{folder} holds {' and '.join(there)} already",
            hint="Name another folder, or write over them with --force.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    session.record(
        f"What an image of {kind} is built from is in {folder}",
        {"folder": folder, "python": python, "packages": len(pinned), "left_out": left_out},
    )
    if left_out:
        session.note(f"\nNot from a package index, so not in requirements.txt: {', '.join(left_out)}")
    on_vertex, on_azureml = _SETTINGS[kind]
    session.note(
        f"\nNext, on Google Cloud:\n"
        f"  gcloud builds submit {folder} --tag LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/{kind}:TAG\n"
        f"and name it in the target: vertex://PROJECT/LOCATION?bucket=BUCKET&{on_vertex}=THAT-TAG\n"
        f"or on Azure:\n"
        f"  az acr build --registry REGISTRY --image cloudmlops/{kind}:TAG {folder}\n"
        f"and name it: azureml://SUBSCRIPTION/GROUP/WORKSPACE?{on_azureml}=REGISTRY.azurecr.io/cloudmlops/{kind}:TAG"
    )


def _requirements() -> tuple[list[str], list[str]]:
    """Return the pinned packages of this environment, and the names of those that no index has."""
    installed = {_normal(found): found for found in _installed()}
    extras = ",".join(["local", *(cloud for cloud, package in _CLOUDS.items() if package in installed)])
    left_out = sorted(
        name for name, found in installed.items() if found.read_text("direct_url.json") and name != "cloudmlops"
    )
    pinned = [
        f"cloudmlops[{extras}]=={found.version}" if name == "cloudmlops" else f"{name}=={found.version}"
        for name, found in sorted(installed.items())
        if name not in left_out
    ]
    return pinned, left_out


def _installed() -> Iterator[Distribution]:
    """Yield each distribution that can be imported: of two of one name the first on the path."""
    seen = set()
    for found in distributions():
        if found.metadata["Name"] and _normal(found) not in seen:
            seen.add(_normal(found))
            yield found


def _normal(found: Distribution) -> str:
    """Return a distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
