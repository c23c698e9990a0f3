"""Where one view's rows are kept and served from."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from google.cloud import bigquery

from cloudmlops.domain.features import FeatureView
from cloudmlops.errors import NotFoundError
from cloudmlops.providers.vertex.feature_store.statements import is_list, newest_statement, sql_type
from cloudmlops.providers.vertex.mapping import features as mapping

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore

_REMEMBERED_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The names of all that one generation of a view's rows is in."""

    identity: str
    """Of the feature view."""

    @property
    def group(self) -> str:
        """The feature group that the feature view reads."""
        return f"{self.identity}_online"

    @property
    def kept(self) -> str:
        """The table of rows that must be kept, several a key with `nulls="last_value"`."""
        return f"Kept_{self.identity}"

    @property
    def served(self) -> str:
        """The view of one row a key, which the feature group is of."""
        return f"Online_{self.identity}"

    @property
    def pushed(self) -> str:
        """The table of rows that were pushed."""
        return f"Pushed_{self.identity}"


def place_of(view: FeatureView, generation: int) -> Place:
    """Return where a view's rows are after it was rebuilt so often."""
    return Place(identity=mapping.online_id(view, generation))


class Generations:
    """How often each view was rebuilt: an object that says so is what makes a rebuilt view count, in one step."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    def read(self, key: str) -> int:
        """Look it up, by `generation_key`."""
        try:
            found = int(json.loads(self._objects.get(key))["generation"])
        except NotFoundError:
            found = 0
        with self._lock:
            self._known[key] = (time.monotonic(), found)
        return found

    def recent(self, key: str, *, within_seconds: float = _REMEMBERED_SECONDS) -> int:
        """Return what it was a moment ago, without a look when there was one."""
        with self._lock:
            at, found = self._known.get(key, (0.0, -1))
        return found if found >= 0 and time.monotonic() - at < within_seconds else self.read(key)

    def write(self, key: str, generation: int) -> None:
        """Let a generation count."""
        self._objects.put(key, json.dumps({"generation": generation}).encode())
        with self._lock:
            self._known[key] = (time.monotonic(), generation)


def generation_key(view: FeatureView) -> str:
    """Return the object that says how often a view was rebuilt."""
    return f"features/online/{view.name}/{mapping.digest(view.layout)}.json"


def kept_fields(view: FeatureView) -> list[bigquery.SchemaField]:
    """Return the columns of the tables of kept and of pushed rows."""
    fields = [bigquery.SchemaField(f"k{place}", sql_type(kind)) for place, kind in enumerate(view.entity.keys.values())]
    fields += [bigquery.SchemaField("ts", "INT64"), bigquery.SchemaField("created", "INT64")]
    for place, kind in enumerate(view.features.values()):
        item = sql_type(kind).removeprefix("ARRAY<").removesuffix(">")
        fields.append(bigquery.SchemaField(f"f{place}", item, mode="REPEATED" if is_list(kind) else "NULLABLE"))
    return [*fields, bigquery.SchemaField("arrived", "BOOL")]


def served_query(view: FeatureView, kept: str) -> str:
    """Return what the service reads: one row a key, in types that it serves."""
    columns = [
        f"{mapping.key_sql(f'k{place}', kind)} AS {mapping.KEY}{place}"
        for place, kind in enumerate(view.entity.keys.values())
    ]
    columns += [
        f"TIMESTAMP_MICROS(ts) AS {mapping.TIMESTAMP}",
        f"ts AS {mapping.EVENT_TIME}",
        f"created AS {mapping.CREATED}",
    ]
    for place, (name, kind) in enumerate(view.features.items()):
        columns.append(f"{mapping.served_sql(f'f{place}', kind)} AS `{mapping.feature_id(name)}`")
    if view.nulls == "last_value":
        columns.append(f"kept AS {mapping.ROWS}")
    return f"SELECT {', '.join(columns)}\nFROM (\n{newest_statement(view, kept)}\n)"
