"""Moving clock and faults of an emulator in another process, over HTTP.

GET  /-/emulator/status    services, time, refused hosts
GET  /-/emulator/calls     what was asked, without secrets, `?matching=` a part of `SERVICE/OPERATION`
POST /-/emulator/clock     {"freeze": "2026-01-01T00:00:00Z" | null} | {"advance_seconds": 3600} | {"resume": true}
POST /-/emulator/faults    {"matching": "bigquery/*", "status": "UNAVAILABLE", "first": 1, "times": 2, …};
                           with a status also "message", "reason" and "retry_after_seconds"
                           | {"clear": true}
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cloudmlops.emulators.core.faults import HTTP_STATUS, Fault, Refused
from cloudmlops.emulators.core.service import AsgiApp, Surroundings

PATH: Final = "/-/emulator/"
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "matching": (str,),
    "status": (str, NoneType),
    "message": (str,),
    "reason": (str,),
    "retry_after_seconds": (int, float),
    "first": (int,),
    "times": (int, NoneType),
    "delay_seconds": (int, float),
    "drop": (bool,),
    "lose_response": (bool,),
}
_OF_STATUS: Final = ("message", "reason", "retry_after_seconds")
_EFFECTS: Final = ("status", "delay_seconds", "drop", "lose_response")


def control_app(
    surroundings: Surroundings, status: Callable[[], Mapping[str, Any]], ready: Callable[[], None]
) -> AsgiApp:
    """Make the control of one emulator; its clock moves when `ready` has returned, so that nothing due is missed."""

    async def show_status(_: Request) -> JSONResponse:
        return JSONResponse({**status(), "time": surroundings.clock.now().isoformat()})

    async def show_calls(request: Request) -> JSONResponse:
        calls = surroundings.calls.list(request.query_params.get("matching", ""))
        return JSONResponse([call.shown() for call in calls])

    async def move_clock(request: Request) -> JSONResponse:
        await run_in_threadpool(ready)
        return await _applied(request, lambda asked: _move(surroundings, asked))

    async def set_faults(request: Request) -> JSONResponse:
        return await _applied(request, lambda asked: _set_fault(surroundings, asked))

    return Starlette(
        routes=[
            Route(f"{PATH}status", show_status),
            Route(f"{PATH}calls", show_calls),
            Route(f"{PATH}clock", move_clock, methods=["POST"]),
            Route(f"{PATH}faults", set_faults, methods=["POST"]),
        ]
    )


async def _applied(request: Request, act: Callable[[Mapping[str, Any]], None]) -> JSONResponse:
    if "origin" in request.headers:  # a page in somebody's browser, which may be anybody's
        return JSONResponse({"error": "an emulator is not controlled by a web page"}, status_code=403)
    try:
        asked = json.loads(await request.body())
        if not isinstance(asked, dict):
            raise TypeError("a JSON object is wanted")
        await run_in_threadpool(act, asked)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    return JSONResponse({})


def _move(surroundings: Surroundings, asked: Mapping[str, Any]) -> None:
    clock = surroundings.clock
    if unknown := set(asked) - {"freeze", "advance_seconds", "resume"}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    if "freeze" in asked:
        at = asked["freeze"]
        clock.freeze(datetime.fromisoformat(at) if at is not None else None)
    if "advance_seconds" in asked:
        clock.advance(timedelta(seconds=float(asked["advance_seconds"])))
    if asked.get("resume"):
        clock.resume()


def _set_fault(surroundings: Surroundings, asked: Mapping[str, Any]) -> None:
    if asked.get("clear"):
        surroundings.faults.clear()
        return
    if unknown := set(asked) - set(_KINDS):
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    for field, kinds in _KINDS.items():
        if field in asked and type(asked[field]) not in kinds:
            raise TypeError(f"{field}: {asked[field]!r} is not {' or '.join(kind.__name__ for kind in kinds)}")
    if not any(asked.get(effect) for effect in _EFFECTS):
        raise ValueError(f"a fault without effect: give one of {', '.join(_EFFECTS)}")
    for wait in ("delay_seconds", "retry_after_seconds"):
        if not math.isfinite(asked.get(wait, 0)) or asked.get(wait, 0) < 0:
            raise ValueError(f"{wait}: {asked[wait]} is not a time to wait")
    status = asked.get("status")
    if status is None and (idle := [name for name in _OF_STATUS if name in asked]):
        raise ValueError(f"without a status there is no {', '.join(idle)}")
    if status is not None and status not in HTTP_STATUS:
        raise ValueError(f"{status!r} is no code of google.rpc.Code")
    surroundings.faults.set(
        Fault(
            matching=asked["matching"],
            first=asked.get("first", 1),
            times=asked.get("times", 1),
            refused=_refused(status, asked) if status else None,
            delay_seconds=float(asked.get("delay_seconds", 0)),
            drop=asked.get("drop", False),
            lose_response=asked.get("lose_response", False),
        )
    )


def _refused(status: str, asked: Mapping[str, Any]) -> Refused:
    return Refused(
        status,
        asked.get("message", "a fault was set"),
        reason=asked.get("reason", ""),
        retry_after_seconds=asked.get("retry_after_seconds"),
    )
