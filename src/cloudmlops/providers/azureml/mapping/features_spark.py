"""What a Spark job of features is to do, as values and as JSON: relations, statements, machines. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.providers.azureml.mapping.machines import known

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings

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
_MIB: Final = 1024 * 1024
_AROUND: Final = (
    "Let it be joined on this machine: a larger spark_from_mib, or read less: fewer views, smaller sources; or pay for "
    "it: a larger spark_hourly_cost; or take fewer machines: spark_executors, spark_instance."
)
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


def hourly_cost(instance: str, executors: int) -> float | None:
    """Return about how many US dollars an hour a job's machines cost; None when no price is known.

    Args:
        instance: Their size.
        executors: How many there are beside the driver.
    """
    machine = known(instance)
    return None if machine is None or machine.hourly_usd is None else (executors + 1) * machine.hourly_usd


def cost_note(settings: AzureMLSettings, stored_bytes: int) -> str:
    """Say what a job costs that is about to begin, and why there is one."""
    return (
        f"the sources hold {stored_bytes / _MIB:.1f} MiB, and from spark_from_mib={settings.spark_from_mib} on a Spark "
        f"job joins and reduces: {_machines(settings)}"
    )


def cost_fault(settings: AzureMLSettings) -> tuple[str, str] | None:
    """Return why no job may begin and what to do, where `spark_hourly_cost` says so."""
    bound = settings.spark_hourly_cost
    cost = hourly_cost(settings.spark_instance, settings.spark_executors)
    if bound is None or (cost is not None and cost <= bound):
        return None
    return (
        f"{_machines(settings)}, which is more than spark_hourly_cost={bound:g} allows",
        _AROUND,
    )


def _machines(settings: AzureMLSettings) -> str:
    number = settings.spark_executors + 1
    cost = hourly_cost(settings.spark_instance, settings.spark_executors)
    price = "at a price that this library does not know" if cost is None else f"about {cost:.2f} US dollars an hour"
    return f"{number} machines {settings.spark_instance}, {price} by the list prices of such virtual machines"
