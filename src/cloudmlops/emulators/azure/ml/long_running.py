"""What tells how an operation of Azure Machine Learning goes on, and how one is begun that really takes a while.

Bodies follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.24 to 1.32): those of computes say
less than the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cloudmlops.emulators.azure.arm.operations import POLL_MILLISECONDS
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

_LOCATION: Final = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{location}}"
_PENDING: Final = "InProgress"
_AGAIN: Final = {"retry-after-ms": POLL_MILLISECONDS}
"""azure-ai-ml waits for 5 s where nobody says when to look again."""


def add_long_running(world: World) -> None:
    """Let operations be followed; whoever has begun one may, whatever the role."""
    kept = world.operations

    def status(request: ArmRequest) -> Answer:
        found = kept.status(request.names["operation"], request.path)
        if found is None:
            raise _unknown(request)
        return answer_json(found, headers=_AGAIN)

    def of_compute(request: ArmRequest) -> Answer:
        found = kept.status(request.names["operation"], request.path)
        if found is None:
            raise _unknown(request)
        shown: dict[str, object] = {name: found[name] for name in ("status", "error") if name in found}
        told = shown if found["status"] == _PENDING else {**shown, "percentComplete": 100.0}
        return answer_json(told, headers=_AGAIN)

    def result(request: ArmRequest) -> Answer:
        over = kept.over(request.names["operation"])
        if over is not None:
            return Answer(status=200) if over else answer_json({}, status=202, headers={**_AGAIN, **_itself(request)})
        found = kept.status(request.names["operation"], request.path)
        if found is None:
            raise _unknown(request)
        left = kept.result(request.names["operation"])
        if left is not None:
            return answer_json(left)
        return Answer(status=202 if found["status"] == _PENDING else 204)

    add = world.routes.add
    add("GET", f"{_LOCATION}/mfeOperationsStatus/{{operation}}", status, action="")
    add("GET", f"{_LOCATION}/mfeOperationResults/{{operation}}", result, action="")
    add("GET", f"{_LOCATION}/computeOperationsStatus/{{operation}}", of_compute, action="")
    add("GET", f"{_LOCATION}/registryOperationsStatus/{{operation}}", of_compute, action="")
    add("GET", f"{_LOCATION}/workspaceOperationsStatus/{{operation}}", of_compute, action="")


def of_computes(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an operation on a compute: it has a place of its own, and no result."""
    followed = {name: value for name, value in headers.items() if name != "location"}
    return {**followed, "azure-asyncoperation": headers["azure-asyncoperation"].replace("/mfe", "/compute")}


def at_resource(headers: Mapping[str, str], request: ArmRequest) -> dict[str, str]:
    """Return the headers of an operation that makes a resource: where it ends is the resource itself."""
    return {**headers, "location": f"https://management.azure.com{request.path}?api-version={request.version}"}


def in_background(
    world: World,
    name: str,
    *,
    work: Callable[[], None],
    failed: Callable[[Refused], None],
    start: Callable[[Callable[[], None]], None],
) -> None:
    """Let an operation be done beside the calls, once it has lasted as long as all do.

    Args:
        world: What it happens in.
        name: Of the operation.
        work: Does it; `Refused` lets it fail.
        failed: Is told why, before the operation is seen to have failed.
        start: Begins a thread and keeps it until the emulator ends.
    """

    def act() -> None:
        try:
            work()
        except Refused as refused:
            if world.surroundings.clock.stopped:
                return  # it was cut short by the emulator's end: the next one goes on with it
            failed(refused)
            world.operations.fail(name, refused)
        else:
            world.operations.succeed(name)

    if world.operations.stuck:
        return
    if world.operations.takes:
        world.surroundings.clock.after(world.operations.takes, lambda: start(act))
    else:
        start(act)


def _itself(request: ArmRequest) -> dict[str, str]:
    return {"location": f"https://management.azure.com{request.path}?api-version={request.version}"}


def _unknown(request: ArmRequest) -> Refused:
    return Refused("NOT_FOUND", f"The operation {request.names['operation']} is not known.", reason="NotFound")
