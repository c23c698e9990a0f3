"""Features by key: what a request leaves out is read from the online store, as the model saw it in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.serving.dialects import Array, Input, Table

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.domain.features import FeatureService

FILE: Final = "cloudmlops_features.json"
"""In the model's folder: the feature service that the model was registered with."""


class FeatureLookup:
    """Completes rows with the features of one service."""

    def __init__(self, platform: Platform, service: FeatureService) -> None:
        self._platform = platform
        self._service = service

    def completed(
        self, given: Input, names: Sequence[str], *, explain: bool
    ) -> tuple[Input, list[dict[str, Any]] | None]:
        """Return the rows with all of `names`, and the features' statuses if asked for.

        A request whose rows all have every column is taken as it is. Otherwise each row is looked up by its keys and
        request columns; a value that the row gives itself is kept.
        """
        if isinstance(given, Array):
            return given, None
        rows: Sequence[dict[str, Any]] = given.rows if isinstance(given, Table) else _as_rows(given.columns)
        wanted = set(names)
        if not explain and all(wanted <= row.keys() for row in rows):
            return given, None
        online = self._platform.features.online(self._service, rows)
        found = online.values()
        statuses = [_explained(online.row(number)) for number in range(len(rows))] if explain else None
        return Table(rows=[{**values, **row} for values, row in zip(found, rows, strict=True)]), statuses


def open_lookup(folder: Path, target: str | None) -> FeatureLookup | None:
    """Return the look-up of the model in `folder`; None when it has no feature service, or no platform was named."""
    path = folder / FILE
    if target is None or not path.is_file():
        return None
    from cloudmlops._platform import connect
    from cloudmlops.domain.features import service_from_json

    return FeatureLookup(connect(target), service_from_json(path.read_text(encoding="utf-8")))


def _as_rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _explained(row: Any) -> dict[str, Any]:
    return {
        name: {"value": value.value, "status": str(value.status), "event_time": value.event_time}
        for name, value in row.items()
    }
