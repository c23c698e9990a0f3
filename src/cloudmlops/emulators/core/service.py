"""One emulated service, and what it is given to live with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloudmlops.emulators.core.calls import Calls
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Faults
from cloudmlops.emulators.core.processes import Processes
from cloudmlops.emulators.core.state import State

if TYPE_CHECKING:
    import grpc

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What all services of one emulator share."""

    clock: Clock
    state: State
    faults: Faults
    calls: Calls
    processes: Processes
    drop: Callable[[tuple[str, int]], None]
    """Cuts the client's connection, known by the address at which a server sees it."""
    address: Callable[[], str]
    """Where all services answer without the redirect, such as `127.0.0.1:41233`."""
    environment: Callable[[], Mapping[str, str]]
    """What a child process needs in its environment, so that every call of an SDK comes here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What answers under some hosts, or some paths of the plain address."""

    name: str
    hosts: tuple[str, ...]
    """Host names with `*`, such as `*-aiplatform.googleapis.com`."""
    paths: tuple[str, ...] = ()
    """Beginnings of paths that are its own at the plain address, such as `/v1/projects/*/topics`, or whole ones,
    such as `/v1/projects/*$`; `/` takes what nobody else wants. Among services of one host they decide too."""
    http: AsgiApp | None = None
    rpc: grpc.GenericRpcHandler | None = None
    """Knows methods by their whole path, so that all services share one server."""
    ready: Callable[[], None] = field(default=lambda: None)
    """Waits until it is built, where that goes on beside the start; raises what went wrong."""
    resume: Callable[[], None] = field(default=lambda: None)
    """Goes on with what an emulator with this state left; called once, when it is built and all services answer."""
    close: Callable[[], None] = field(default=lambda: None)
