"""One running emulator: clouds behind one port."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

import uvicorn

from cloudmlops.emulators.core.authority import Authority
from cloudmlops.emulators.core.calls import Calls
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.control import PATH, control_app
from cloudmlops.emulators.core.faults import Faults
from cloudmlops.emulators.core.front import Front
from cloudmlops.emulators.core.processes import Processes
from cloudmlops.emulators.core.routing import Router, services_of_host
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.core.state import State

if TYPE_CHECKING:
    import grpc

LOOPBACK: Final = "127.0.0.1"
_NEAR: Final = "127.0.0.1,localhost,::1"
_RPC_THREADS: Final = 32
"""A call that streams holds one as long as it lasts."""


class Cloud(Protocol):
    """The services of one vendor."""

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        """Build the services."""
        ...

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        """Return what a child needs beside proxy and certificates, such as credentials; files go into `folder`.

        None takes a variable away that would lead a child past the redirect.
        """
        ...

    def reset(self) -> None:
        """Undo what a test may have set, and keep what the services hold."""
        ...


AnyCloud = TypeVar("AnyCloud", bound=Cloud)


class Emulator:
    """Clouds that answer on loopback. Use as a context manager."""

    def __init__(self, clouds: Sequence[Cloud], *, state: Path | None = None, port: int = 0) -> None:
        """Prepare; nothing is started.

        Args:
            clouds: What is emulated.
            state: A folder that keeps what the services hold; None forgets all on `close`.
            port: Where to answer; 0 lets the system choose.
        """
        self._clouds = tuple(clouds)
        self._wanted_port = port
        self._state_folder = state
        self._stack = ExitStack()
        self.clock = Clock()
        self.faults = Faults()
        self.calls = Calls(self.clock, self.faults)
        self.services: Sequence[Service] = ()

    def __enter__(self) -> Self:
        self.begin()
        try:
            self.ready()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self) -> None:
        """Answer, though some services may still be built; calls of theirs wait for them."""
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise

    def ready(self) -> None:
        """Wait until all services are built that are to be from the start."""
        for service in self.services:
            service.ready()

    @property
    def address(self) -> str:
        """Host and port at which all services answer in plain HTTP and gRPC."""
        return f"{LOOPBACK}:{self._front.port}"

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"http://{self.address}"

    @property
    def refused(self) -> Mapping[str, int]:
        """Hosts that children asked for and are not emulated, with how often."""
        return dict(self._front.refused)

    def environment(self) -> dict[str, str]:
        """Return the environment of a child that can reach nothing but this emulator.

        It is this process's own, without what would lead past the redirect.
        """
        proxy = self.url
        bundle = str(self._authority.bundle)
        sealed: dict[str, str | None] = {
            **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "grpc_proxy"), proxy),
            # What a child serves to itself is on this machine anyhow.
            **dict.fromkeys(("NO_PROXY", "no_proxy", "no_grpc_proxy"), _NEAR),
            "ALL_PROXY": proxy,
            "all_proxy": proxy,
            "REQUESTS_CA_BUNDLE": bundle,
            "CURL_CA_BUNDLE": bundle,
            "SSL_CERT_FILE": bundle,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": bundle,
            "NODE_EXTRA_CA_CERTS": bundle,
            "CLOUDMLOPS_EMULATOR": self.url,
        }
        for cloud in self._clouds:
            sealed |= cloud.environment(self._private)
        return {name: value for name, value in {**os.environ, **sealed}.items() if value is not None}

    def reset(self) -> None:
        """Forget faults, the record of calls, refused hosts and what `Cloud.reset` forgets; the clock is real again."""
        self.faults.clear()
        self.calls.clear()
        self.clock.reset()
        self._front.refused.clear()
        for cloud in self._clouds:
            cloud.reset()

    def cloud(self, kind: type[AnyCloud]) -> AnyCloud:
        """Return the cloud of a kind, for what is its own.

        Raises:
            LookupError: It is not emulated here.
        """
        for cloud in self._clouds:
            if isinstance(cloud, kind):
                return cloud
        raise LookupError(f"{kind.__name__} is not emulated here")

    def status(self) -> dict[str, Any]:
        """Return services and refused hosts, as JSON."""
        return {
            "services": {service.name: list(service.hosts) for service in self.services},
            "refused": self.refused,
        }

    def _start(self) -> None:
        self._private = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="cloudmlops-emulator-")))
        self._authority = Authority(self._private)
        self._front = Front(self._authority, speaks=self._spoken)
        self.state = State(self._state_folder)
        self._stack.callback(self.state.close)
        # Calls that are still under way find the services closed, but not yet the state.
        self._rpc_threads = ThreadPoolExecutor(_RPC_THREADS, thread_name_prefix="emulated-rpc")
        self._stack.callback(self._rpc_threads.shutdown)
        self.processes = Processes()
        surroundings = Surroundings(
            clock=self.clock,
            state=self.state,
            faults=self.faults,
            calls=self.calls,
            processes=self.processes,
            drop=self._front.drop,
            address=lambda: self.address,
            environment=self.environment,
        )
        services: list[Service] = []
        for cloud in self._clouds:
            for service in cloud.services(surroundings):
                self._stack.callback(service.close)
                services.append(service)
        self.services = tuple(services)
        # What is under way is let end before the services close: nothing new begins, what it waits for is killed.
        self._stack.callback(self.clock.close)
        self._stack.callback(self.processes.close)
        self._stack.callback(self.clock.stop)
        self._front.rpc_port = self._serve_rpc()
        router = Router(
            self.services, control_app(surroundings, self.status, self.ready), PATH, refuse=self._front.refuse
        )
        self._stack.enter_context(_Served(self._front, router, self._wanted_port))
        self._stack.callback(self.calls.close)
        for service in self.services:
            service.resume()

    def _spoken(self, host: str) -> frozenset[str]:
        services = services_of_host(self.services, host)
        return frozenset(
            name
            for service in services
            for name, part in (("rpc", service.rpc), ("http", service.http))
            if part is not None
        )

    def _serve_rpc(self) -> int:
        handlers: list[grpc.GenericRpcHandler] = [service.rpc for service in self.services if service.rpc is not None]
        if not handlers:
            return 0
        import grpc

        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        server = grpc.server(self._rpc_threads, handlers=handlers, options=[*unlimited, ("grpc.so_reuseport", 0)])
        port = server.add_insecure_port(f"{LOOPBACK}:0")
        server.start()
        self._stack.callback(lambda: server.stop(grace=None).wait())
        return port


class _Served:
    """The front and the HTTP server, on one event loop in a thread of their own."""

    def __init__(self, front: Front, app: Callable[..., Any], port: int) -> None:
        self._front = front
        self._port = port
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        config = uvicorn.Config(
            app,
            host=LOOPBACK,
            port=0,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            ws="none",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            self._server.config.load()
            self._server.lifespan = self._server.config.lifespan_class(self._server.config)
            await self._server.startup()
            self._front.http_port = self._server.servers[0].sockets[0].getsockname()[1]
            try:
                await self._front.start(LOOPBACK, self._port)
            except OSError:
                await self._server.shutdown()
                raise
        except BaseException as error:  # noqa: BLE001 told to whoever waits in `__enter__`
            self._failure = error
            return
        finally:
            self._ready.set()
        ticking = asyncio.create_task(self._server.main_loop())
        await self._stopping.wait()
        await self._front.stop()
        self._server.should_exit = True
        await ticking
        await self._server.shutdown()
        await asyncio.sleep(0)  # what was closed is told so in the loop's next round
