"""Draw the tables in the READMEs below `terraform`: `python tools/terraform_tables.py`.

What a folder makes, its variables and its outputs are read from its files, and stand in its README below a mark; what
is above the mark is written by hand. The README of all has the table of costs, from `prices.toml`. A test fails when a
README is out of date.
"""

from __future__ import annotations

import json
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2

TERRAFORM = Path(__file__).resolve().parent.parent / "terraform"
MARK = "<!-- Drawn by tools/terraform_tables.py: what is below is written over. -->"
HOURS_A_MONTH = 730
_EXAMPLES = ("dev", "prod")
_MONTH = {"hour": HOURS_A_MONTH, "day": HOURS_A_MONTH / 24, "month": 1}


def folders(root: Path = TERRAFORM) -> list[Path]:
    """Return the folders that have tables: modules and stacks, not their examples."""
    return sorted({file.parent for pattern in ("modules/*/*/*.tf", "stacks/*/*.tf") for file in root.glob(pattern)})


def page(folder: Path) -> str:
    """Return the text that a folder's README should have.

    Raises:
        ValueError: It has none, or no mark; a variable has no type; or something has no description.
    """
    readme = folder / "README.md"
    if not readme.exists() or MARK not in (text := readme.read_text(encoding="utf-8")):
        raise ValueError(f"{readme} should be there, tell what is made and why, and end with the line {MARK}")
    return f"{text.partition(MARK)[0]}{MARK}\n\n{tables(folder)}"


def front(root: Path = TERRAFORM) -> str:
    """Return the text that the README of all should have."""
    text = (root / "README.md").read_text(encoding="utf-8")
    return f"{text.partition(MARK)[0]}{MARK}\n\n{costs(root)}"


def costs(root: Path) -> str:
    """Return the tables of what costs at rest, and of what is made besides and does not."""
    known = tomllib.loads((root / "prices.toml").read_text(encoding="utf-8"))
    prices, free = known["price"], known["free"]
    head = ["cloud", "what", "list price, USD", *(f"`{example}` a month" for example in _EXAMPLES), "source"]
    lines = [_row(head), _row(["---"] * len(head))]
    for one in prices:
        about = "about " if one.get("assumed") else ""
        months = [
            f"{_month(one, example):.2f} ({about}{one[example]} x)" if one[example] else "0" for example in _EXAMPLES
        ]
        price = f"{one['usd']} {'an' if one['per'] == 'hour' else 'a'} {one['per']}"
        lines.append(_row([one["cloud"], one["what"], price, *months, f"{one['source']}; read {one['read']}"]))
    for cloud in dict.fromkeys(one["cloud"] for one in prices):
        ours = [one for one in prices if one["cloud"] == cloud]
        sums = [f"**{sum(_month(one, example) for one in ours):.0f}**" for example in _EXAMPLES]
        lines.append(_row([f"**{cloud}**", "**sum of the above**", "", *sums, ""]))
    lines += ["", "What the examples make besides costs nothing at rest:", ""]
    lines += [_row(["why", "what"]), _row(["---"] * 2)]
    for why in sorted(set(free.values())):
        lines.append(_row([why, ", ".join(f"`{name}`" for name in sorted(free) if free[name] == why)]))
    return "\n".join([*lines, ""])


def tables(folder: Path) -> str:
    """Return the tables of a folder."""
    found = [hcl2.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.tf"))]
    parts = []
    if versions := [version for file in found for version in _versions(file)]:
        parts.append(f"Needs {', '.join(versions)}.\n")
    if made := _names(found, "resource"):
        parts.append(f"Makes {made}.\n")
    if modules := _names(found, "module"):
        parts.append(f"Composes {modules}.\n")
    if variables := [line for file in found for line in _variables(file, folder)]:
        head = ["## Variables", "| name | what it is | type | default |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *variables, ""]))
    if outputs := [line for file in found for line in _outputs(file, folder)]:
        parts.append("\n".join(["## Outputs", "| name | what it is |", "|---|---|", *outputs, ""]))
    return "\n".join(parts)


def _month(price: dict[str, Any], example: str) -> float:
    return float(price["usd"] * _MONTH[price["per"]] * price[example])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _names(files: list[dict[str, Any]], kind: str) -> str:
    names = {_text(name) for file in files for one in file.get(kind, []) for name in one}
    return ", ".join(f"`{name}`" for name in sorted(names))


def _versions(file: dict[str, Any]) -> Iterator[str]:
    for terraform in file.get("terraform", []):
        if "required_version" in terraform:
            yield f"terraform `{_text(terraform['required_version'])}`"
        for providers in terraform.get("required_providers", []):
            for name, provider in providers.items():
                if isinstance(provider, dict):
                    yield f"{_text(name)} `{_plain(provider)['version']}`"


def _variables(file: dict[str, Any], folder: Path) -> Iterator[str]:
    for name, variable in ((_text(name), body) for one in file.get("variable", []) for name, body in one.items()):
        if "type" not in variable:
            raise ValueError(f"{folder}: variable {name} has no type")
        default = f"`{_value(variable['default'])}`" if "default" in variable else "required"
        kind = _text(variable["type"]).removeprefix("${").removesuffix("}")
        yield f"| `{name}` | {_description(variable, folder, name)} | `{kind}` | {default} |"


def _outputs(file: dict[str, Any], folder: Path) -> Iterator[str]:
    for name, output in ((_text(name), body) for one in file.get("output", []) for name, body in one.items()):
        yield f"| `{name}` | {_description(output, folder, name)} |"


def _description(body: dict[str, Any], folder: Path, name: str) -> str:
    if not (told := _text(body.get("description", ""))):
        raise ValueError(f"{folder}: {name} has no description")
    return " ".join(told.replace("|", "\\|").split())


def _text(written: str) -> str:
    """Return text as it is meant: without its quotes, or the marks of a heredoc."""
    inner = written.removeprefix('"').removesuffix('"')
    if inner.startswith("<<"):
        return textwrap.dedent("\n".join(inner.splitlines()[1:-1]))
    return inner.replace('\\"', '"')


def _value(default: Any) -> str:
    if isinstance(default, str):
        return default.removeprefix("${").removesuffix("}")
    return json.dumps(_plain(default))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {_text(name): _plain(one) for name, one in value.items() if not name.startswith("__")}
    return value


if __name__ == "__main__":
    faults = []
    (TERRAFORM / "README.md").write_text(front(), encoding="utf-8")
    for folder in folders():
        try:
            (folder / "README.md").write_text(page(folder), encoding="utf-8")
        except ValueError as error:
            faults.append(str(error))
    sys.exit("\n".join(faults))
