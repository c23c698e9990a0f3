"""Which topic or namespace answers under which host name."""

from __future__ import annotations

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State


class Hosts:
    """Host names, each of one resource."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept = state.table("eventgrid_hosts")

    def take(self, host: str, resource: str) -> None:
        """Let a resource answer under a host name.

        Raises:
            Refused: Another one does.
        """
        with self._state.transaction():
            known = self._kept.get(host)
            if known is not None and known.decode().lower() != resource.lower():
                raise Refused("ALREADY_EXISTS", f"The host name '{host}' is in use.", reason="Conflict")
            self._kept.put(host, resource.encode())

    def leave(self, resource: str) -> None:
        """Let a resource answer no more."""
        for host, known in self._kept.items():
            if known.decode().lower() == resource.lower():
                self._kept.delete(host)

    def resource(self, host: str) -> str | None:
        """Return the id of what answers under a host name; None when nothing does."""
        found = self._kept.get(host.lower())
        return found.decode() if found is not None else None
