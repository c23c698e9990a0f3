"""What a step's container has printed, from Cloud Logging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from cloudmlops.providers.read_on import LastRead
from cloudmlops.providers.vertex.logs import line_of, log_entries

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.rest import Rest

_LATE: Final = timedelta(minutes=1)
"""Cloud Logging may take so long to show an entry, and meanwhile shows later ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What has been read of one container."""

    text: str = ""
    latest: datetime | None = None
    near: Mapping[tuple[str, str], datetime]
    """The entries that will be shown again, by time and `insertId`, which tell one from another."""


class StepLogs:
    """Reads them; of the container that was read last, only what is new."""

    def __init__(self, rest: Rest, project: str) -> None:
        self._rest = rest
        self._project = project
        self._last: LastRead[_Read] = LastRead()

    def printed(self, container: str, *, resource: str) -> Mapping[str, str]:
        """Return all lines of a container, which is one process; those that Cloud Logging shows late come last.

        Args:
            container: Number of the custom job that runs it.
            resource: Whose it is, in our names.
        """
        return {"": self._last.on(container, partial(self._on, container, resource)).text}

    def _on(self, container: str, resource: str, before: _Read | None) -> _Read:
        latest = before.latest if before else None
        near = dict(before.near) if before else {}
        wanted = [
            'resource.type="ml_job"',
            f'resource.labels.job_id="{container}"',
            f'logName="projects/{self._project}/logs/workerpool0-0"',
        ]
        if latest is not None:
            wanted.append(f'timestamp>="{(latest - _LATE).isoformat()}"')
        lines: list[str] = []
        for entry in log_entries(
            self._rest, self._project, " AND ".join(wanted), operation="pipelines.log", resource=resource
        ):
            identity = (str(entry["timestamp"]), str(entry["insertId"]))
            if identity not in near:
                near[identity] = datetime.fromisoformat(identity[0])
                lines.append(f"{line_of(entry)}\n")
        latest = max(near.values(), default=latest)
        return _Read(
            text=(before.text if before else "") + "".join(lines),
            latest=latest,
            near={one: moment for one, moment in near.items() if latest is not None and moment >= latest - _LATE},
        )
