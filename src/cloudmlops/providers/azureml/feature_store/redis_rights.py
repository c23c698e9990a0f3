"""Which commands a cache lets the caller do, asked of the cache itself: Azure's roles say nothing of them.

Each is put into a transaction that is then dropped: Redis looks at rights when a command is queued, and does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from cloudmlops.providers.azureml.feature_store.online_keys import platform_id
from cloudmlops.providers.azureml.feature_store.redis_connection import RedisConnection

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire

_ARGUMENTS: Final[dict[str, Sequence[str]]] = {
    "eval": ("return 0", "1", "{key}"),
    "evalsha": ("0" * 40, "1", "{key}"),
    "hdel": ("{key}", "field"),
    "hset": ("{key}", "field", "value"),
    "incrby": ("{key}", "1"),
    "pexpireat": ("{key}", "1"),
    "scan": ("0",),
    "script|load": ("return 0",),
    "set": ("{key}", "value"),
    "time": (),
}
"""Of commands that take more than a key, or none: with a wrong number of them, rights are not looked at."""


def refused(wire: Wire, commands: Sequence[str], *, operation: str) -> list[str]:
    """Return those of some commands that the caller may not do on the platform's keys.

    Raises:
        PermissionDeniedError: He may not even ask in this way: transactions are refused.
        ServiceError: The cache does not know the caller, or does not answer.
    """
    connection = RedisConnection(wire)
    key = f"cloudmlops:{platform_id(wire.settings)}:access"
    try:
        return connection.ask(lambda client: _refused(client, commands, key), operation=operation, resource="Redis")
    finally:
        connection.close()


def _refused(client: Redis, commands: Sequence[str], key: str) -> list[str]:
    pool = client.connection_pool
    connection: Any = pool.get_connection()

    def said(*words: str) -> ResponseError | None:
        connection.send_command(*words)
        try:
            connection.read_response()
        except ResponseError as error:
            return error
        return None

    try:
        if begun := said("MULTI"):
            raise begun
        found = []
        for command in commands:
            arguments = [one.format(key=key) for one in _ARGUMENTS.get(command, ("{key}",))]
            if (error := said(*command.upper().split("|"), *arguments)) is None:
                continue
            if not isinstance(error, NoPermissionError):
                raise error
            found.append(command)
        said("DISCARD")
        return found
    finally:
        connection.disconnect()  # what was queued is forgotten with it
        pool.release(connection)
