"""Read the schemas of providers back out of the `cdktn-provider-*` wheels, for the types that `types.txt` lists.

CDK Terrain writes TypeScript from what `terraform providers schema -json` says, and the JavaScript in the wheels has
that TypeScript in its source maps. Above each field stands whether it is computed, optional or required; a function for
each block says which fields may be set, their types, and whether they are blocks. Lost are limits of how often a block
may stand, other than once, what is sensitive or deprecated, and what the provider checks in its own code. A pattern
that is not known raises: nothing is guessed.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tools.tfcheck.schemas import FOLDER, Block, Recorded

TYPES: Final = Path(__file__).with_name("types.txt")
_SOURCE_MAP: Final = re.compile(rb"sourceMappingURL=data:application/json;base64,([A-Za-z0-9+/=]+)")
_TOP_LEVEL: Final = re.compile(
    r"^export (?:abstract )?(?:class|interface|function) (\w+)[^\n]*\n(.*?)^}$", re.MULTILINE | re.DOTALL
)
_ROOT: Final = re.compile(r"^export class (\w+) extends \w+\.Terraform(Resource|DataSource|Provider) ", re.MULTILINE)
_TYPE_NAME: Final = re.compile(r'tfResourceType = "([\w-]+)"')
_FIELD: Final = re.compile(
    r"^ *// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n((?:.*\n){3})", re.MULTILINE
)
_SET: Final = re.compile(
    r'^ *(\w+): \{\n\s*value: (.+),\n\s*isBlock: (true|false),\n\s*type: "(\w+)",\n\s*storageClassType: "\w+"',
    re.MULTILINE,
)
_DOCUMENTED: Final = re.compile(r"/\*\*((?:(?!\*/).)*)\*/\s*readonly \w+", re.DOTALL)
_LISTED: Final = re.compile(r"[Pp]ossible values(?: are)?:\s*\[([^\]]*)\]")
_WRAPPERS: Final = re.compile(r"^(?:this\.markWriteOnlyAttribute\(|struct!?\.\w+ === undefined \? null : )")
_PLAIN: Final = re.compile(r"\w+\.(string|number|boolean|any)ToHclTerraform")
_MAPPED: Final = re.compile(r"\w+\.(hash|list)MapperHcl\((\w+\..*)")
_BLOCK: Final = re.compile(r"(?:\w+\.(listMapperHcl)\()?(\w+)ToHclTerraform(?:, (true|false)\)|\()")
_WORDS: Final = {"any": "dynamic", "boolean": "bool", "number": "number", "string": "string"}


class UnknownPatternError(Exception):
    """The wheels are written otherwise than this program knows."""


def record(wheels: Sequence[Path]) -> int:
    """Write the schemas of the listed types; return 1, and name them, when a listed type is in no wheel."""
    wanted = {line for line in TYPES.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")}
    found: set[str] = set()
    for wheel in wheels:
        provider = _recorded(wheel, wanted)
        found |= provider.resources.keys() | {f"data.{name}" for name in provider.data}
        file = FOLDER / f"{provider.name}-{provider.version}.json"
        file.write_text(provider.to_text(), encoding="utf-8")
        print(f"{file.name}: {len(provider.resources)} resources, {len(provider.data)} data sources")
    if absent := wanted - found:
        print(f"in no wheel: {', '.join(sorted(absent))}", file=sys.stderr)
    return 1 if absent else 0


def _recorded(wheel: Path, wanted: set[str]) -> Recorded:
    blocks: dict[str, dict[str, Block]] = {"Resource": {}, "DataSource": {}, "Provider": {}}
    origin: dict[str, str] = {}
    for folder in _modules(wheel, origin):
        module = _Module(folder)
        for class_name, kind in _ROOT.findall(folder):
            name = _the_only(_TYPE_NAME, module.parts[class_name])
            if kind == "Provider" or f"{'data.' if kind == 'DataSource' else ''}{name}" in wanted:
                blocks[kind][name] = module.block_of_root(class_name)
    return Recorded(
        source=origin["name"],
        version=origin["version"],
        provider=next(iter(blocks["Provider"].values())),
        resources=blocks["Resource"],
        data=blocks["DataSource"],
    )


def _modules(wheel: Path, origin: dict[str, str]) -> Iterator[str]:
    """Yield the TypeScript of each folder of a wheel, which is that of one type; note whose it is."""
    with zipfile.ZipFile(wheel) as archive:
        inner = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        packed = io.BytesIO(archive.read(inner))
    folders: dict[str, list[str]] = {}
    with tarfile.open(fileobj=packed, mode="r:gz") as tar:
        for member in tar:
            if (file := tar.extractfile(member)) is None:
                continue
            if member.name == "package/package.json":
                origin.update(json.load(file)["cdktn"]["provider"])
            elif re.fullmatch(r"package/lib/[^/]+/.+\.js", member.name):
                folders.setdefault(member.name.split("/")[2], []).extend(_typescript(file.read()))
    yield from ("\n".join(texts) for texts in folders.values())


def _typescript(javascript: bytes) -> Iterator[str]:
    for encoded in _SOURCE_MAP.findall(javascript):
        yield from json.loads(base64.b64decode(encoded)).get("sourcesContent") or ()


class _Module:
    """The TypeScript of one type."""

    def __init__(self, text: str) -> None:
        self.parts = dict(_TOP_LEVEL.findall(text))

    def block_of_root(self, class_name: str) -> Block:
        return self._block(class_name, f"{class_name}Config", self.parts[class_name])

    def _block_of(self, struct: str) -> Block:
        return self._block(f"{struct}OutputReference", struct, self.parts.get(_function(struct), ""))

    def _block(self, class_name: str, interface: str, settable: str) -> Block:
        block: Block = {}
        entries = {name: entry for name, *entry in _SET.findall(settable)}
        # What only the provider's own blocks have: no class, for nobody reads them. All of theirs may be set.
        fields = _FIELD.findall(self.parts.get(class_name, "")) or [(name, "", "true", "", "") for name in entries]
        for name, computed, optional, required, code in fields:
            marks = {"computed": computed == "true", "optional": optional == "true", "required": required == "true"}
            if name in entries:
                kind, value = self._of_entry(*entries[name], required=marks["required"])
            else:
                kind, value = "attributes", {"type": self._of_getter(name, " ".join(code.split()))}
            if kind == "attributes":
                value |= {mark: True for mark, holds in marks.items() if holds}
                if listed := self._listed(interface).get(name):
                    value["listed"] = listed
            block.setdefault(kind, {})[name] = value
        return block

    def _of_entry(self, expression: str, is_block: str, shape: str, *, required: bool) -> tuple[str, Block]:
        """Return what may be set: an attribute or a block."""
        plain = expression
        while (shorter := _WRAPPERS.sub("", plain)) != plain:
            plain = shorter
        if (kind := _plain_type(plain)) is not None:
            shaped = [shape, kind[1]] if isinstance(kind, list) and kind[0] == "list" else kind
            return "attributes", {"type": shaped} | ({"write_only": True} if "markWriteOnly" in expression else {})
        if not (found := _BLOCK.match(plain)):
            raise UnknownPatternError(f"what may be set as {expression!r}")
        many, function, in_blocks = found.groups()
        inner = self._block_of(function[0].upper() + function[1:])
        if (in_blocks or is_block) != "true":
            return "attributes", {"type": [shape, _as_object(inner)]}
        if shape == "struct":
            return "block_types", {"nesting_mode": "single", "block": inner}
        limits = ({"min_items": 1} if required else {}) | ({} if many else {"max_items": 1})
        return "block_types", {"nesting_mode": shape, "block": inner} | limits

    def _of_getter(self, name: str, code: str) -> Any:
        """Return the type of what is only read, from the code that reads it."""
        if found := re.search(
            r"new \w+\.(String|Number|Boolean|Any)Map(List)?\(this(?:, \"\w+\", (true|false))?", code
        ):
            word, many, unordered = found.groups()
            of_map = "dynamic" if word == "Any" and not many else ["map", _WORDS[word.lower()]]
            return [_many(unordered), of_map] if many else of_map
        if found := re.search(r"new (\w+)List\(this, \"\w+\", (true|false)\)", code):
            return [_many(found[2]), _as_object(self._block_of(found[1]))]
        if found := re.search(r"new (\w+)OutputReference\(this", code):
            return _as_object(self._block_of(found[1]))
        if found := re.search(r"get(String|Number|Boolean)Attribute\(", code):
            return _WORDS[found[1].lower()]
        if found := re.search(r"get(Number)?ListAttribute\(", code):
            return [_many("true" if "Fn.tolist" in code else "false"), "number" if found[1] else "string"]
        if "getStringMapAttribute(" in code:
            return ["map", "string"]
        if "interpolationForAttribute(" in code:
            return "dynamic"
        raise UnknownPatternError(f"how {name} is read: {code!r}")

    def _listed(self, interface: str) -> dict[str, list[str]]:
        """Return the values that the documentation of an interface's fields lists."""
        listed = {}
        for documentation in _DOCUMENTED.findall(self.parts.get(interface, "")):
            values, name = _LISTED.search(documentation), re.search(r"#(\w+) ", documentation)
            if values and name and (given := re.findall(r'"([^"]+)"', values[1])):
                listed[name[1]] = given
        return listed


def _function(struct: str) -> str:
    return f"{struct[0].lower()}{struct[1:]}ToHclTerraform"


def _the_only(pattern: re.Pattern[str], text: str) -> str:
    if not (found := pattern.search(text)):
        raise UnknownPatternError(f"{pattern.pattern} stands nowhere")
    return found[1]


def _many(unordered: str) -> str:
    return "set" if unordered == "true" else "list"


def _plain_type(expression: str) -> Any:
    """Return the type of a value without blocks; None when there are some."""
    if found := _PLAIN.match(expression):
        return _WORDS[found[1]]
    if found := _MAPPED.match(expression):
        inner = _plain_type(found[2])
        # An attribute of any type is written as a map of anything.
        return inner if inner in (None, "dynamic") else ["map" if found[1] == "hash" else "list", inner]
    return None


def _as_object(block: Block) -> list[Any]:
    fields = {name: attribute["type"] for name, attribute in block.get("attributes", {}).items()}
    for name, nested in block.get("block_types", {}).items():
        inner = _as_object(nested["block"])
        fields[name] = inner if nested["nesting_mode"] == "single" else [nested["nesting_mode"], inner]
    return ["object", fields]
