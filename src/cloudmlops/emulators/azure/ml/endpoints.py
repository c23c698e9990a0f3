"""What online and batch endpoints share: names, the hosts at which they answer, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

SUFFIX: Final = "inference.ml.azure.com"
MOST_DEPLOYMENTS: Final = 20
"""Per endpoint of any type (learn.microsoft.com, "Manage resources and quotas"); on request there may be more."""
_NAME: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{1,30}[A-Za-z0-9])")
_TABLES: Final = {"onlineEndpoints": "ml_endpoint_hosts", "batchEndpoints": "ml_batch_hosts"}


class EndpointHosts:
    """The hosts of one kind of endpoints; the kinds share the names of a region."""

    def __init__(self, state: State, kind: str) -> None:
        """Look at them.

        Args:
            state: Of the emulator.
            kind: `onlineEndpoints` or `batchEndpoints`.
        """
        self._state = state
        self._own = state.table(_TABLES[kind])
        self._others = [state.table(name) for other, name in _TABLES.items() if other != kind]

    def take(self, host: str, endpoint: str) -> bool:
        """Keep whose a host is; False when it is taken, by this endpoint or another.

        Args:
            host: In lower case.
            endpoint: Its id.
        """
        with self._state.transaction():
            taken = any(other.get(host) is not None for other in self._others)
            return not taken and self._own.create(host, endpoint.encode())

    def endpoint(self, host: str) -> str | None:
        """Return the id of the endpoint at a host."""
        found = self._own.get(host.lower())
        return found.decode() if found is not None else None

    def free(self, host: str) -> None:
        """Let a host be nobody's."""
        self._own.delete(host)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Go through hosts and ids."""
        return ((host, endpoint.decode()) for host, endpoint in self._own.items())


def host_of(name: str, location: str) -> str:
    """Return the host of an endpoint."""
    return f"{name}.{location}.{SUFFIX}".lower()


def check_room(resources: Resources, endpoint: str) -> None:
    """Refuse one more deployment than an endpoint takes; the words of the refusal are not recorded.

    Args:
        resources: All that there are.
        endpoint: Its id.

    Raises:
        Refused: It has as many as it takes.
    """
    if len(resources.directly_below(f"{endpoint}/deployments")) >= MOST_DEPLOYMENTS:
        raise Refused(
            "INVALID_ARGUMENT",
            f"The endpoint has {MOST_DEPLOYMENTS} deployments already, which is the limit of deployments per endpoint.",
            reason="QuotaExceeded",
        )


def check_name(name: str) -> None:
    """Refuse what cannot be the name of an endpoint or a deployment.

    Raises:
        Refused: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            "INVALID_ARGUMENT",
            f"The name {name!r} is invalid: 3 to 32 letters, digits and '-', a letter first, no '-' last.",
        )


def shown(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of an endpoint or a deployment: who changed it last is not."""
    made = resource["systemData"]
    kept = {name: made[name] for name in ("createdAt", "createdBy", "lastModifiedAt")}
    return {**resource, "systemData": kept}
