"""Views, rows and stores for the tests of the online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa

from cloudmlops import Entity, FeatureView, TableSource
from cloudmlops.domain.point_in_time import FeatureRow, FeatureValue, served, to_microseconds
from cloudmlops.materializers.feature_columns import TIME, arrow_type
from cloudmlops.providers.azureml.feature_store.online import OnlineStore
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.providers.azureml.wire import Wire

HERE = "azureml://00000000-0000-0000-0000-00000000e001/experiments/online"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
_numbers = count()


def store_at(url: str, *, target: str = HERE, timeout: float = 60, **settings: Any) -> OnlineStore:
    """Return the store of a platform, whose Redis is at an address."""
    named = AzureMLSettings.from_target(target)
    return OnlineStore(
        Wire(
            AzureMLSettings(
                subscription=named.subscription,
                resource_group=named.resource_group,
                workspace=named.workspace,
                redis_url=url,
                timeout=timeout,
                **settings,
            )
        )
    )


def view_of(
    features: Mapping[str, Any], *, keys: Mapping[str, Any] | None = None, created: bool = False, **more: Any
) -> FeatureView:
    """Return a view that no other test has."""
    return FeatureView(
        f"view-{next(_numbers)}",
        entity=Entity("thing", keys=keys or {"id": str}),
        source=TableSource("rows"),
        timestamp="at",
        created="made" if created else None,
        features=features,
        **more,
    )


def table_of(view: FeatureView, rows: Sequence[tuple[Any, FeatureRow]]) -> pa.Table:
    """Return rows as the store takes them: each with its key, a tuple where it has several parts."""
    keys = [key if isinstance(key, tuple) else (key,) for key, _ in rows]
    columns: dict[str, Any] = {
        name: pa.array([key[place] for key in keys], arrow_type(kind))
        for place, (name, kind) in enumerate(view.entity.keys.items())
    }
    columns["at"] = pa.array([row.ts for _, row in rows], pa.int64()).cast(TIME)
    if view.created:
        columns["made"] = pa.array([row.created for _, row in rows], pa.int64()).cast(TIME)
    for place, (name, kind) in enumerate(view.features.items()):
        columns[name] = pa.array([row.values[place] for _, row in rows], arrow_type(kind))
    return pa.table(columns)


def row(at: datetime, *values: Any, created: datetime | None = None) -> FeatureRow:
    """Return a row."""
    return FeatureRow(to_microseconds(at), None if created is None else to_microseconds(created), values)


def written(store: OnlineStore, view: FeatureView, *rows: tuple[Any, FeatureRow], **options: Any) -> None:
    """Write rows, each with its key."""
    store.write(view, [table_of(view, rows)], **options)


def read(store: OnlineStore, view: FeatureView, key: Any, at: datetime) -> tuple[FeatureValue, ...]:
    """Return what is served of one key at a time."""
    (rows,) = store.reader(view)([key])
    return served(view, rows, to_microseconds(at))
