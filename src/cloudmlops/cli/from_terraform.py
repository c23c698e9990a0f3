"""What a Terraform stack made, as a target: its outputs have the names of the provider's settings."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops._targets import configuration
from cloudmlops.errors import ConfigurationError, ConflictError

if TYPE_CHECKING:
    from cloudmlops.providers.targets import TargetSettings

FILE: Final = "cloudmlops.toml"
_SETTINGS: Final = {
    "azureml": "cloudmlops.providers.azureml.settings:AzureMLSettings",
    "vertex": "cloudmlops.providers.vertex.settings:VertexSettings",
}
_PROVIDER: Final = "provider"
_BESIDE: Final = "about"
"""The output of what is no setting, for people and workflows."""
_NOT_JSON: Final = {
    r"\A\[command\]": "a wrapper wrote into it; setup-terraform leaves its own out with terraform_wrapper: false",
    r"^\w+ += ": "-json was left out",
}
"""What is printed in place of JSON, by a pattern that only it has."""
_OTHERS: Final = {
    "planned_values": "a plan of Terraform's, and not its outputs",
    "values": "what `terraform show` prints, and not the outputs",
    "lineage": "a state of Terraform's, and not its outputs",
}
"""What files are that somebody may give instead, by a word that only they have."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_NO_VARIABLES: Final = "no variable begins with this: "
_HINT: Final = "Give what `terraform output -json` prints in the folder of a stack's root, such as examples/dev."


def target_from(text: str | bytes) -> TargetSettings:
    """Read what `terraform output -json` prints as a provider's settings; variables add nothing to them.

    Args:
        text: Of bytes in UTF-8, UTF-16 or UTF-32, whichever the shell has written.

    Raises:
        ConfigurationError: It is something else, or outputs are unknown, missing, secret or malformed; all faults of
            outputs are listed.
    """
    outputs = _outputs(text)
    settings = _settings(outputs)
    fields = settings.model_fields
    given = {name: one["value"] for name, one in outputs.items() if name in fields and one["value"] is not None}
    return settings(
        _named="the outputs of Terraform",
        _faults=[*_faults(outputs, settings)],
        _env_prefix=_NO_VARIABLES,
        **{name: value for name, value in given.items() if name not in settings.secrets},
    )


def write_target(folder: Path, name: str, url: str, *, overwrite: bool = False) -> Path:
    """Name a target in a folder's `cloudmlops.toml`, of which all else stays as it is; return the file.

    Args:
        folder: Where; made when missing.
        name: The target's.
        url: Where it leads.
        overwrite: Let a target of that name lead somewhere else than before.

    Raises:
        ConfigurationError: The name is none for a table's key; the file is written in a way that cannot be added to; or
            another configuration holds there, which the file would hide.
        ConflictError: A target of that name leads somewhere else.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name of a target", hint="It has letters, digits, hyphens and _.")
    file = folder.resolve() / FILE
    known = configuration(folder.resolve())
    line = f"{name} = {json.dumps(url)}"
    if known.path is not None and known.path != file:
        raise ConfigurationError(
            f"{known.path} holds the configuration of {folder}, and {file} would hide it",
            hint=f"Add to its table of targets: {line}",
        )
    if known.targets.get(name, url) != url and not overwrite:
        raise ConflictError(
            f"the target {name!r} in {file} is {known.targets[name]}",
            hint="Give another name with --name, or write over it with --force.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    after = _with_target(before, name, line) if before.strip() else f'target = "{name}"\n\n[targets]\n{line}\n'
    wanted = tomllib.loads(before) or {"target": name}
    wanted["targets"] = {**wanted.get("targets", {}), name: url}
    if not _is(after, wanted):
        raise ConfigurationError(
            f"the targets in {file} are written in a way that is not added to here", hint=f"Add to them: {line}"
        )
    file.write_text(after, encoding="utf-8")
    return file


def _outputs(text: str | bytes) -> Mapping[str, Mapping[str, Any]]:
    if not text.strip():
        raise ConfigurationError(
            "nothing is in it: Terraform has printed no outputs",
            hint=f"Where Terraform failed, it said so in the terminal. {_HINT}",
        )
    try:
        outputs = json.loads(text)
    except ValueError as error:
        plain = text if isinstance(text, str) else text.decode(json.detect_encoding(text), errors="replace")
        why = next((told for mark, told in _NOT_JSON.items() if re.search(mark, plain, re.MULTILINE)), str(error))
        raise ConfigurationError(f"the outputs of Terraform are not JSON: {why}", hint=_HINT) from error
    if not isinstance(outputs, dict) or not all(isinstance(one, dict) and "value" in one for one in outputs.values()):
        kinds = (told for mark, told in _OTHERS.items() if isinstance(outputs, dict) and mark in outputs)
        raise ConfigurationError(f"this is {next(kinds, 'not what Terraform prints of outputs')}", hint=_HINT)
    if not outputs:
        raise ConfigurationError("Terraform has no outputs there", hint=f"Run terraform apply first. {_HINT}")
    return outputs


def _settings(outputs: Mapping[str, Mapping[str, Any]]) -> type[TargetSettings]:
    provider = outputs.get(_PROVIDER, {}).get("value")
    if provider not in _SETTINGS:
        told = f"is {provider!r}" if _PROVIDER in outputs else "is missing"
        raise ConfigurationError(
            f"the output {_PROVIDER} of Terraform {told}",
            hint=f"It says whose settings the others are: {' or '.join(_SETTINGS)}. {_HINT}",
        )
    module, _, name = _SETTINGS[provider].partition(":")
    found: type[TargetSettings] = getattr(import_module(module), name)
    return found


def _faults(outputs: Mapping[str, Mapping[str, Any]], settings: type[TargetSettings]) -> Iterator[str]:
    for name, output in outputs.items():
        if name in (_PROVIDER, _BESIDE):
            continue
        if name not in settings.model_fields:
            yield f"{name}: there is no such setting"
        elif name in settings.secrets or output.get("sensitive"):
            yield f"{name}: it is a secret, which no file of the project holds"


def _with_target(text: str, name: str, line: str) -> str:
    """Return a file's text with a line in its table of targets, in place of the one of that name."""
    header = re.search(r"^\[targets\][^\S\n]*(?:#.*)?$", text, re.MULTILINE)
    if header is None:
        return f"{text.rstrip()}\n\n[targets]\n{line}\n"
    begin = header.end()
    following = re.search(r"^\[", text[begin:], re.MULTILINE)
    end = begin + following.start() if following else len(text)
    table, replaced = re.subn(
        rf'^["\']?{re.escape(name)}["\']?[^\S\n]*=.*$', lambda _: line, text[begin:end], flags=re.MULTILINE
    )
    return text[:begin] + (table if replaced else f"\n{line}{text[begin:end]}") + text[end:]


def _is(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False
