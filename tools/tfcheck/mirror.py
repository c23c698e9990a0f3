"""Lay out the folder that Terraform takes its providers from: a stand-in for each recorded version."""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from tools.tfcheck.schemas import Recorded

ROOT: Final = Path(__file__).resolve().parents[2]
"""What `tools` is imported from."""
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def lay_out(folder: Path, providers: Sequence[Recorded], types: Collection[str] | None = None) -> dict[str, str]:
    """Make the folder; providers are in its `mirror`.

    Args:
        folder: Where; made.
        providers: What Terraform may choose from.
        types: The types to serve; None serves all.

    Returns:
        The variables with which Terraform uses it.
    """
    machine = platform.machine()
    system = f"{platform.system().lower()}_{_ARCHITECTURES.get(machine, machine)}"
    for provider in providers:
        served = provider if types is None else provider.with_types(types)
        home = folder / "mirror" / provider.source / provider.version / system
        home.mkdir(parents=True, exist_ok=True)
        schema, message = home / "schema.json", home / "schema.pb"
        schema.write_text(served.to_text(), encoding="utf-8")
        message.write_bytes(served.to_message())
        launcher = home / f"terraform-provider-{provider.name}_v{provider.version}_x5"
        launcher.write_text(
            f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m tools.tfcheck.standin "{schema}" "{message}"\n'
        )
        launcher.chmod(0o755)
    settings = folder / "terraform.rc"
    settings.write_text(
        "disable_checkpoint = true\n"
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder / "mirror"}"\n  }}\n}}\n'
    )
    return {
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_DATA_DIR": ".terraform",
        "TF_DISABLE_PLUGIN_TLS": "1",  # a stand-in has no certificate, and a socket that nobody else opens
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
    }
