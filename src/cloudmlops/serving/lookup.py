"""Features by key: what a request leaves out is read from the online store, as the model saw it in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import CloudMLOpsError, InvalidRequestError
from cloudmlops.services.feature_rows.json_rows import row_reader
from cloudmlops.serving.dialects import Array, Input, Table
from cloudmlops.serving.problems import ProblemError

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.domain.features import FeatureService

FILE: Final = "cloudmlops_features.json"
"""In the model's folder: the feature service that the model was registered with."""


class FeatureLookup:
    """Completes rows with the features of one service."""

    def __init__(self, platform: Platform, service: FeatureService) -> None:
        self._read = platform.features.reader(service)
        self._columns = tuple(service.columns)
        self._typed = row_reader({**service.join_keys, **service.request})

    def completed(
        self, given: Input, names: Sequence[str], *, explain: bool
    ) -> tuple[Input, list[dict[str, Any]] | None]:
        """Return the rows with all of `names`, and the features' statuses if asked for.

        A request whose rows all have every column is taken as it is. Otherwise each row is looked up by its keys and
        request columns; a value that the row gives itself is kept.

        Args:
            given: Rows; an array without names is returned as it is.
            names: The columns that the model needs; without any it gets the service's.
            explain: Whether to look up and tell statuses even if nothing is missing.

        Raises:
            ProblemError: 400, a key or request column is missing or of another type; 503, the features cannot be read.
        """
        if isinstance(given, Array):
            return given, None
        rows: Sequence[dict[str, Any]] = given.rows if isinstance(given, Table) else _as_rows(given.columns)
        wanted = names or self._columns
        if not explain and all(row.keys() >= set(wanted) for row in rows):
            return given, None
        try:
            online = self._read([self._typed(row) for row in rows])
        except InvalidRequestError as error:
            raise ProblemError(400, error.message, hint=error.hint) from error
        except CloudMLOpsError as error:
            raise ProblemError(503, f"the features could not be read: {error.message}", hint=error.hint) from error
        statuses = [_explained(online.row(number)) for number in range(len(rows))] if explain else None
        completed = [{**values, **row} for values, row in zip(online.values(), rows, strict=True)]
        if not names:
            completed = [{name: row[name] for name in wanted} for row in completed]
        return Table(rows=completed), statuses


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


def _explained(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"value": found.value, "status": str(found.status), "event_time": found.event_time}
        for name, found in row.items()
    }
