"""What a Spark job of features is to do, as values and as JSON: relations, statements, machines. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

ENTITIES: Final = "_asked"
"""The relation of entity rows; no table's name begins so."""
SETTINGS: Final[Mapping[str, str]] = {
    "spark.sql.session.timeZone": "UTC",
    # A value that does not fit its type ends the job, and is not null.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Dates before 1582 and times before 1900 are what they are.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}
"""Of the session; a deployment's own would give other values."""
_INSTANCE: Final = re.compile(r"standard_e(\d+)s_v3", re.IGNORECASE)
_GIB_A_CORE: Final = 7
"""Of the eight that the machines have; Spark needs some beside its heap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SparkRelation:
    """Parquet files that a statement reads by a name."""

    name: str
    folder: str
    """The address that the files are below."""
    files: Sequence[str]
    """Paths from there."""
    columns: Mapping[str, str | None]
    """The columns that it has, and Spark's types; None is a column without values, of any type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SparkPlan:
    """What one job does."""

    relations: Sequence[SparkRelation]
    views: Mapping[str, str]
    """Statements by the names that others know them by, in their order."""
    statement: str
    """What answers."""
    entities: bool = False
    """Whether entity rows come with it."""
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    @property
    def folders(self) -> Sequence[str]:
        """The folders that its files are in, each once."""
        return list(dict.fromkeys(relation.folder for relation in self.relations))


@dataclass(frozen=True, kw_only=True, slots=True)
class SparkMachines:
    """How large a job's driver and each of its executors are: a whole machine."""

    instance: str
    cores: int
    memory_gib: int


def plan_text(plan: SparkPlan) -> str:
    """Return what the entry script reads."""
    folders = plan.folders
    relations: list[dict[str, Any]] = []
    for relation in plan.relations:
        record = asdict(relation)
        record["source"] = folders.index(record.pop("folder"))
        relations.append(record)
    return json.dumps(
        {
            "settings": dict(plan.settings),
            "relations": relations,
            "entities": ENTITIES if plan.entities else "",
            "views": dict(plan.views),
            "statement": plan.statement,
        }
    )


def machines_of(instance: str) -> SparkMachines:
    """Return what a size of machine, such as `standard_e8s_v3`, holds: as many cores as its name says."""
    named = _INSTANCE.fullmatch(instance)
    cores = int(named[1]) if named else 1
    return SparkMachines(instance=instance.lower(), cores=cores, memory_gib=cores * _GIB_A_CORE)
