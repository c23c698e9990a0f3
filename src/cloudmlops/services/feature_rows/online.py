"""Reading features online: what a read prepares once, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cloudmlops.domain.features import FeatureService, FeatureView, microseconds
from cloudmlops.domain.point_in_time import (
    FeatureRow,
    FeatureStatus,
    FeatureValue,
    served,
    to_microseconds,
)
from cloudmlops.ports.features import OnlineReader
from cloudmlops.services.feature_rows.entity_rows import key_reader


class OnlineFeatures:
    """The features of some entities at a time, in the order in which they were asked for."""

    def __init__(
        self,
        *,
        service: FeatureService,
        at: datetime,
        asked: Mapping[str, Sequence[Any]],
        values: list[dict[str, Any]],
        found: Sequence[tuple[FeatureView, Sequence[Sequence[FeatureRow]]]],
    ) -> None:
        self.service = service
        self.at = at
        """The time as of which the values hold."""
        self.asked = asked
        """The key and request columns of the rows asked for."""
        self._values = values
        self._found = found

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> list[dict[str, Any]]:
        """Return for each entity row its features by name, on-demand ones included; None where there is no value."""
        return self._values

    def row(self, number: int) -> dict[str, FeatureValue]:
        """Return one entity row's features with their status and event time."""
        values = self._values[number]
        at = to_microseconds(self.at)
        told = {
            column: value
            for view, rows in self._found
            for column, value in zip(view.columns, served(view, rows[number], at), strict=True)
        }
        for feature in self.service.on_demand:
            value = values[feature.name]
            status = FeatureStatus.NULL if value is None else FeatureStatus.PRESENT
            told[feature.name] = FeatureValue(value, status, self.at)
        return told


class FeatureReader:
    """A prepared online read: what depends on the service alone is worked out once."""

    def __init__(
        self, service: FeatureService, *, open_view: Callable[[FeatureView], OnlineReader], now: Callable[[], datetime]
    ) -> None:
        self.service = service
        self._now = now
        self._columns_of = key_reader(service)
        self._views = [_ViewReader(view, open_view(view.stored)) for view in service.views]

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> OnlineFeatures:
        """Read the features of entity rows, as of now.

        Args:
            rows: Each with the service's join keys and request columns.

        Raises:
            InvalidEntitiesError: A column is missing or of another type; all faults are listed.
        """
        asked = self._columns_of(rows)
        read = [(view, view.stored(asked)) for view in self._views]
        # After the last row was read: a row that was written meanwhile must not count as not known yet.
        at = self._now()
        moment = to_microseconds(at)
        values: list[dict[str, Any]] = []
        for view, stored in read:
            told = view.values(stored, moment)
            values = [{**before, **row} for before, row in zip(values, told, strict=True)] if values else told
        if not self._views:
            values = [{} for _ in rows]
        if self.service.on_demand:
            self._add_on_demand(asked, values)
        found = [(view.view, stored) for view, stored in read]
        return OnlineFeatures(service=self.service, at=at, asked=asked, values=values, found=found)

    def _add_on_demand(self, asked: Mapping[str, Sequence[Any]], values: list[dict[str, Any]]) -> None:
        from cloudmlops.services.feature_rows.on_demand import add_to_rows

        if not values:
            return
        columns = {**asked, **{name: [row[name] for row in values] for name in values[0]}}
        for name, computed in add_to_rows(self.service, columns).items():
            for row, value in zip(values, computed, strict=True):
                row[name] = value


class _ViewReader:
    def __init__(self, view: FeatureView, read: OnlineReader) -> None:
        self.view = view
        self._read = read
        self._keys = tuple(view.join_keys)
        self._columns = view.columns
        self._nothing = dict.fromkeys(view.columns)
        self._newest = microseconds(view.source_delay)
        self._oldest = None if view.ttl is None else microseconds(view.ttl)

    def stored(self, asked: Mapping[str, Sequence[Any]]) -> Sequence[Sequence[FeatureRow]]:
        if len(self._keys) == 1:
            return self._read(asked[self._keys[0]])
        return self._read(list(zip(*(asked[name] for name in self._keys), strict=True)))

    def values(self, stored: Sequence[Sequence[FeatureRow]], at: int) -> list[dict[str, Any]]:
        """Return what holds at a time, as `domain.point_in_time.served` says it, in fewer steps for the common case."""
        columns, nothing = self._columns, self._nothing
        newest = at - self._newest
        oldest = None if self._oldest is None else at - self._oldest
        told = []
        for rows in stored:
            if len(rows) > 1:
                values: Sequence[Any] = [value.value for value in served(self.view, rows, at)]
            elif rows and rows[0].ts <= newest and (oldest is None or rows[0].ts >= oldest):
                values = rows[0].values
            else:
                told.append(nothing.copy())
                continue
            told.append(dict(zip(columns, values, strict=True)))
        return told
