"""Long-running operations: what a 201 or 202 promises, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import written
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

POLL_MILLISECONDS: Final = "10"
"""When to look again: azure-core waits 30 s where nothing says, and where `Retry-After` is 0."""


class Operations:
    """Operations by their ids. They last `takes` on the clock, and never end while `stuck`."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._clock = clock
        self._kept = state.table("arm_operations")
        self.takes = timedelta(0)
        """How long an operation lasts."""
        self.stuck = False
        """Whether operations that begin now never end."""
        self.looks: dict[str, Callable[[str], bool]] = {}
        """Of operations that are a look at something else, by what their names begin with: whether that is over, by the
        rest of the name."""

    def begin(
        self,
        subscription: str,
        location: str,
        resource_id: str,
        *,
        work: Callable[[], None] = lambda: None,
        failed: Callable[[Refused], None] = lambda _: None,
        result: Mapping[str, Any] | None = None,
        version: str,
        takes: timedelta | None = None,
    ) -> Mapping[str, str]:
        """Begin something that takes a while; return the headers that tell how to follow it.

        Args:
            subscription: Its id.
            location: Of the workspace.
            resource_id: What it is about.
            work: Does it when the time has come; `Refused` lets the operation fail.
            failed: Is told why it failed.
            result: What it leaves, where that is no resource.
            version: The api-version of the request.
            takes: How long it lasts; None is `takes` of all.
        """
        name = self.start(resource_id, result)

        def finish() -> None:
            try:
                work()
            except Refused as refused:
                failed(refused)
                self.fail(name, refused)
            else:
                self.succeed(name)

        lasts = self.takes if takes is None else takes
        if not self.stuck:
            if lasts:
                self._clock.after(lasts, finish)
            else:
                finish()
        return self.followed(name, subscription, location, version=version)

    @staticmethod
    def followed(name: str, subscription: str, location: str, *, version: str) -> Mapping[str, str]:
        """Return the headers that tell how to follow an operation of Azure Machine Learning."""
        base = (
            f"https://management.azure.com/subscriptions/{subscription}/providers/"
            f"Microsoft.MachineLearningServices/locations/{location}"
        )
        return {
            "azure-asyncoperation": f"{base}/mfeOperationsStatus/{name}?api-version={version}",
            "location": f"{base}/mfeOperationResults/{name}?api-version={version}",
            "x-ms-async-operation-timeout": "PT1H",
            "retry-after-ms": POLL_MILLISECONDS,
        }

    def over(self, name: str) -> bool | None:
        """Say whether an operation is over that is a look at something else; None of any other."""
        kind, _, rest = name.partition(":")
        look = self.looks.get(kind)
        return look(rest) if look is not None and rest else None

    def start(self, resource_id: str, result: Mapping[str, Any] | None = None) -> str:
        """Begin something whose end is told by `succeed` or `fail`; return the operation's name."""
        name, now = str(uuid4()), written(self._clock.now())
        self._keep(name, {"status": "InProgress", "resource": resource_id, "start": now, "result": result})
        return name

    def result(self, name: str) -> dict[str, Any] | None:
        """Return what an operation that there is has left; None when it has not ended well, or left a resource."""
        kept = json.loads(self._kept.get(name) or b"{}")
        result: dict[str, Any] | None = kept.get("result") if kept.get("status") == "Succeeded" else None
        return result

    def succeed(self, name: str) -> None:
        """End an operation well; one that has ended stays as it is."""
        self._end(name, "Succeeded")

    def fail(self, name: str, refused: Refused) -> None:
        """End an operation badly; one that has ended stays as it is."""
        self._end(name, "Failed", refused)

    def status(self, name: str, path: str) -> dict[str, Any] | None:
        """Return what is shown of an operation; None when there is none."""
        data = self._kept.get(name)
        if data is None:
            return None
        kept = json.loads(data)
        shown = {"id": path, "name": name, "status": kept["status"], "startTime": kept["start"]}
        if "end" in kept:
            shown["endTime"] = kept["end"]
        shown["percentComplete"] = 100.0 if kept["status"] == "Succeeded" else 0.0
        if "error" in kept:
            shown["error"] = kept["error"]
        return shown

    def resource(self, name: str) -> str | None:
        """Return the id of what an operation is about."""
        data = self._kept.get(name)
        return str(json.loads(data)["resource"]) if data is not None else None

    def _end(self, name: str, status: str, refused: Refused | None = None) -> None:
        data = self._kept.get(name)
        if data is None or "end" in (known := json.loads(data)):
            return
        kept = {**known, "status": status, "end": written(self._clock.now())}
        if refused is not None:
            details = refused.details if isinstance(refused, UserError) else ()
            kept["error"] = {
                "code": refused.reason or "InternalServerError",
                "message": refused.message,
                "details": [{"code": one.code, "message": one.message} for one in details],
            }
        self._keep(name, kept)

    def _keep(self, name: str, content: Mapping[str, Any]) -> None:
        self._kept.put(name, json.dumps(content).encode())
