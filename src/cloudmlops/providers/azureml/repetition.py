"""What of Azure's calls is repeated, by which of its clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

from azure.core.pipeline import Pipeline
from azure.core.pipeline.policies import RetryPolicy
from azure.core.pipeline.transport import HttpTransport

_TOO_MANY: Final = 429


class Repetition(RetryPolicy[Any, Any]):
    """Repeats what does the same when it is done twice, and what was refused unseen because of too many calls.

    A POST does so where the call says it, by `retry_on_methods`. It is of one pipeline: azure-core links each policy to
    the one that follows.
    """

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        method, status = response.http_request.method.upper(), response.http_response.status_code
        if method in ("POST", "PATCH") and status != _TOO_MANY and method not in settings["methods"]:
            return False
        pause = self.get_retry_after(response)
        if pause is not None and pause > self.timeout:
            return False
        return super().is_retry(settings, response)


class Repeating(HttpTransport[Any, Any]):
    """Connections that repeat by themselves, for a client that gives the same policies to several pipelines."""

    def __init__(self, within: HttpTransport[Any, Any], repetition: Callable[[], Repetition]) -> None:
        self._within = within
        self._repetition = repetition

    def send(self, request: Any, **options: Any) -> Any:
        """Send, and send again; a client's own repetition is told to do neither."""
        return Pipeline(self._within, [self._repetition()]).run(request, **options).http_response

    def open(self) -> None:
        """Open the connections within."""
        self._within.open()

    def close(self) -> None:
        """Close the connections within."""
        self._within.close()

    def sleep(self, duration: float) -> None:
        """Wait, in seconds."""
        self._within.sleep(duration)

    def __enter__(self) -> Self:
        self._within.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._within.__exit__(*raised)  # type: ignore[arg-type]
