"""Recorded schemas: one file for each version of a provider, laid out as `terraform providers schema -json` does."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tools.tfcheck.messages import MESSAGES

FOLDER: Final = Path(__file__).parent / "schema"
NESTING: Final = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
"""The protocol's numbers of how often a block may stand."""
_NAMED: Final = re.compile(r'^\s*(?:resource|data|mock_resource|mock_data|override_resource)\s+"(\w+)"', re.MULTILINE)

Block = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The schema of one version of a provider, or of the types in use."""

    source: str
    """Its address, such as `registry.terraform.io/hashicorp/google`."""
    version: str
    provider: Block
    resources: dict[str, Block]
    data: dict[str, Block]

    @property
    def name(self) -> str:
        """The last word of its address."""
        return self.source.rpartition("/")[2]

    @property
    def order(self) -> tuple[int, ...]:
        """Its version as numbers, to be compared."""
        return tuple(int(part) for part in self.version.split("."))

    def with_types(self, names: Collection[str]) -> Recorded:
        """Return the same with these types only: Terraform reads all that it is offered at each start."""
        return replace(
            self,
            resources={name: block for name, block in self.resources.items() if name in names},
            data={name: block for name, block in self.data.items() if name in names},
        )

    def to_text(self) -> str:
        """Return it as JSON, one type a line, so that a new version reads well in a diff."""

        def line(value: Any) -> str:
            return json.dumps(value, sort_keys=True, separators=(",", ":"))

        def types(blocks: dict[str, Block]) -> str:
            return ",\n".join(f"{line(name)}:{line({'block': block})}" for name, block in sorted(blocks.items()))

        return (
            f'{{"format_version":"1.0","recorded_version":{line(self.version)},'
            f'"provider_schemas":{{{line(self.source)}:{{\n'
            f'"provider":{line({"block": self.provider})},\n'
            f'"resource_schemas":{{\n{types(self.resources)}\n}},\n'
            f'"data_source_schemas":{{\n{types(self.data)}\n}}\n}}}}}}\n'
        )

    def to_message(self) -> bytes:
        """Return it as Terraform asks for it."""
        message = MESSAGES["Schemas"]()
        _fill(message.provider.block, self.provider)
        for schemas, blocks in (
            (message.resource_schemas, self.resources),
            (message.data_source_schemas, self.data),
        ):
            for name, block in blocks.items():
                _fill(schemas[name].block, block)
        message.capabilities.get_provider_schema_optional = True
        serialized: bytes = message.SerializeToString()
        return serialized


def read(path: Path) -> Recorded:
    """Return what a file records."""
    known = json.loads(path.read_text(encoding="utf-8"))
    ((source, schemas),) = known["provider_schemas"].items()
    return Recorded(
        source=source,
        version=known["recorded_version"],
        provider=schemas["provider"]["block"],
        resources={name: schema["block"] for name, schema in schemas["resource_schemas"].items()},
        data={name: schema["block"] for name, schema in schemas["data_source_schemas"].items()},
    )


def recorded(folder: Path = FOLDER) -> list[Recorded]:
    """Return all that is recorded, a provider's versions from the oldest on."""
    return sorted(map(read, folder.glob("*.json")), key=lambda one: (one.name, one.order))


def types_named(files: Iterable[Path]) -> set[str]:
    """Return the types of resources and data sources that files name."""
    return {name for file in files for name in _NAMED.findall(file.read_text(encoding="utf-8"))}


def _fill(message: Any, block: Block) -> None:
    message.SetInParent()  # a block without attributes is a block
    for name, attribute in sorted(block.get("attributes", {}).items()):
        message.attributes.add(
            name=name,
            type=json.dumps(attribute["type"], separators=(",", ":")).encode(),
            **{mark: attribute.get(mark, False) for mark in ("required", "optional", "computed", "write_only")},
        )
    for name, nested in sorted(block.get("block_types", {}).items()):
        added = message.block_types.add(
            type_name=name,
            nesting=NESTING[nested["nesting_mode"]],
            min_items=nested.get("min_items", 0),
            max_items=nested.get("max_items", 0),
        )
        _fill(added.block, nested["block"])
