"""The names of datasets and tables, as resources and as SQL say them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_DATASET: Final = re.compile(r"[A-Za-z0-9_]{1,1024}")
_TABLE: Final = re.compile(r"[\w\- ]{1,1024}")


@dataclass(frozen=True, slots=True, order=True)
class DatasetName:
    """A dataset of a project."""

    project: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}"

    def reference(self) -> dict[str, str]:
        """As JSON."""
        return {"projectId": self.project, "datasetId": self.dataset}

    @classmethod
    def of(cls, reference: Mapping[str, Any], *, project: str = "") -> DatasetName:
        """Read a reference; without a project it is in `project`.

        Raises:
            Refused: It names nothing that can be.
        """
        dataset = str(reference.get("datasetId", ""))
        if not _DATASET.fullmatch(dataset):
            raise Refused(
                "INVALID_ARGUMENT",
                f'Invalid dataset ID "{dataset}". Dataset IDs must be alphanumeric (plus underscores) and must be at '
                "most 1024 characters long.",
                reason="invalid",
            )
        return cls(str(reference.get("projectId") or project), dataset)


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table or view of a dataset."""

    parent: DatasetName
    table: str

    def __str__(self) -> str:
        return f"{self.parent}.{self.table}"

    def reference(self) -> dict[str, str]:
        """As JSON."""
        return {**self.parent.reference(), "tableId": self.table}

    @classmethod
    def of(cls, reference: Mapping[str, Any], *, project: str = "") -> TableName:
        """Read a reference; without a project it is in `project`.

        Raises:
            Refused: It names nothing that can be.
        """
        table = str(reference.get("tableId", ""))
        if "$" in table:
            raise Refused("UNIMPLEMENTED", f"partition decorator in {table!r} is not emulated", reason="notImplemented")
        if not _TABLE.fullmatch(table):
            raise Refused(
                "INVALID_ARGUMENT",
                f'Invalid table ID "{table}". Table IDs must be alphanumeric (plus underscores) and must be at most '
                "1024 characters long.",
                reason="invalid",
            )
        return cls(DatasetName.of(reference, project=project), table)
