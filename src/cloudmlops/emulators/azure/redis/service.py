"""The Redis of an emulator: a door from the start, a server behind it at first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloudmlops.emulators.azure.redis.door import LOOPBACK, Door
from cloudmlops.emulators.azure.redis.servers import server_of
from cloudmlops.emulators.core.service import Service

if TYPE_CHECKING:
    from cloudmlops.emulators.core.service import Surroundings

URL: Final = "CLOUDMLOPS_AZUREML_REDIS_URL"
"""The variable that tells a child where it is: no host name of Azure leads there."""


class Redis:
    """What features are served from."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._server = server_of(surroundings)
        kept = surroundings.state.table("redis")
        # Deployments of the emulator before know the address: whoever resumes them is there again.
        self.door = Door(self._server.start, port=int(kept.get("port") or 0))
        """Where it is reached; loses answers and connections when a test wants it."""
        kept.put("port", str(self.door.port).encode())

    @property
    def url(self) -> str:
        """Where it is; whoever connects first starts it."""
        return f"redis://{LOOPBACK}:{self.door.port}"

    @cached_property
    def described(self) -> str:
        """What it is, for a person: the system's redis-server or a substitute."""
        return self._server.described()

    def service(self) -> Service:
        """Return the service that is closed with the others; it has no host, and speaks no HTTP."""
        return Service(name="redis", hosts=(), close=self.close)

    def close(self) -> None:
        """End it."""
        self.door.close()
        self._server.close()
