"""`cloudmlops events`: list, publish, handle, serve, replay."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from cloudmlops.cli.session import Session, session_options
from cloudmlops.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.domain.events import DeadLetter, Event


class _Moment(click.ParamType[datetime]):
    """A time with a zone, or how long ago: `2026-01-31T12:00+00:00`, `90m`, `24h`, `7d`."""

    name = "time|age"
    _UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}  # noqa: RUF012 click's classes are not dataclasses

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if value[:-1].isdigit() and value[-1] in self._UNITS:
            return datetime.now(UTC) - timedelta(**{self._UNITS[value[-1]]: int(value[:-1])})
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither a time such as 2026-01-31T12:00+00:00 nor an age such as 90m, 24h or 7d",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.astimezone()


@click.group()
def events() -> None:
    """List, handle and replay events."""


@events.command("list")
@click.option("--kind", metavar="NAME", help="Only this kind, such as ModelRegistered.")
@click.option("--since", type=_Moment(), help="Only what arrived since then.")
@session_options
def list_events(session: Session, *, kind: str | None, since: datetime | None) -> None:
    """List events in order of arrival."""
    from cloudmlops.domain.events import Event

    found = session.platform.events.list(kind=_kind(kind) if kind else Event, since=since)
    session.table("Events", ["time", "kind", "about", "key"], [_row(event) for event in found])


@events.command()
@click.argument("file", type=click.File(encoding="utf-8"), default="-")
@session_options
def publish(session: Session, *, file: TextIO) -> None:
    """Publish the CloudEvents (JSON, one or a list) in FILE or standard input."""
    from cloudmlops.services.delivery import envelopes

    read: list[Event] = []
    faults: list[str] = []
    try:
        written = envelopes.loaded(file.read())
    except (InvalidRequestError, UnicodeDecodeError) as error:
        written, faults = [], [str(error)]
    for place, event in enumerate(written if isinstance(written, list) else [written]):
        try:
            read.append(envelopes.to_event(envelopes.from_json(event)))
        except InvalidRequestError as error:
            faults += [f"event {place}: {fault}" for fault in error.faults]
    if faults:
        raise InvalidRequestError(
            f"{file.name} holds no CloudEvent, or malformed ones; nothing was published",
            hint='Write {"id": …, "source": …, "type": …, "time": "2026-01-31T12:00:00Z", "data": {…}}.',
            faults=faults,
        )
    for event in read:
        session.platform.events.publish(event)
    session.table("Published", ["time", "kind", "about", "key"], [_row(event) for event in read])


@events.command()
@click.argument("handlers", metavar="MODULE[:FUNCTION]")
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@session_options
def process(session: Session, *, handlers: str, follow: bool) -> None:
    """Handle what is due with the handlers that MODULE's function `register(platform)` registers."""
    _register(handlers, session.platform)
    if follow:
        stop = threading.Event()
        _stop_on_signals(stop)
        session.note(f"Handling events with {', '.join(session.platform.events.handlers)}; interrupt to stop.")
        session.platform.events.run(stop)
        return
    handled = session.platform.events.process()
    letters = session.platform.events.dead_letters()
    session.record("Processed", {"handled": handled, "dead_letters": len(letters)})


@events.command()
@click.argument("handlers", metavar="[MODULE[:FUNCTION]]", required=False)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@session_options
def serve(session: Session, *, handlers: str | None, host: str, port: int) -> None:
    """Take events over HTTP, and handle them when MODULE is given."""
    import socket

    import uvicorn

    platform = session.platform
    if handlers:
        _register(handlers, platform)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)  # before the address is told: who hears it may connect at once
        except OSError as error:
            raise ConfigurationError(
                f"the address {host}:{port} cannot be used: {error.strerror}",
                hint="Choose another with --port; 0 is free.",
            ) from error
        address = f"http://{host}:{listener.getsockname()[1]}"
        if session.as_json:
            session.record("Serving", {"address": address, "handlers": list(platform.events.handlers)})
        session.note(f"Events are taken at {address}; interrupt to stop.")
        stop = threading.Event()
        server = uvicorn.Server(uvicorn.Config(platform.events.asgi(), log_level="warning", access_log=False))
        ended: list[BaseException] = []

        def work() -> None:
            try:
                platform.events.run(stop)
            except BaseException as error:  # noqa: BLE001 raised again below, by the thread that can end the process
                ended.append(error)
                server.should_exit = True  # else events would be taken that nobody handles

        worker = threading.Thread(target=work, name="cloudmlops-events")
        if handlers:
            worker.start()
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()
            if handlers:
                worker.join()
        if ended:
            raise ended[0]


@events.command("dead-letters")
@click.option("--handler", help="Only this handler's.")
@click.option("--traceback", "with_traceback", is_flag=True, help="Print where each error was raised.")
@session_options
def dead_letters(session: Session, *, handler: str | None, with_traceback: bool) -> None:
    """List what handlers gave up on."""
    letters = session.platform.events.dead_letters(handler=handler)
    session.table(
        "Dead letters",
        ["time", "handler", "kind", "about", "attempts", "error", "message"],
        [_letter(letter) for letter in letters],
    )
    if with_traceback:
        for letter in letters:
            session.note(f"\n{letter.handler} on {'/'.join(map(str, letter.event.meaning))}:\n{letter.traceback}")


@events.command()
@click.option("--handler", help="Only this handler's.")
@session_options
def retry(session: Session, *, handler: str | None) -> None:
    """Put dead letters back, to be handled by the next `process`."""
    letters = session.platform.events.dead_letters(handler=handler)
    session.record("Retried", {"events": session.platform.events.retry(*letters) if letters else 0})


@events.command()
@click.option("--since", type=_Moment(), required=True, help="Events that arrived since then.")
@click.option("--handler", help="Only for this handler.")
@session_options
def replay(session: Session, *, since: datetime, handler: str | None) -> None:
    """Have events handled again by the next `process`; platform effects that took hold stay single."""
    session.record("Replayed", {"events": session.platform.events.replay(since=since, handler=handler)})


def _register(reference: str, platform: Platform) -> None:
    """Call the function that registers handlers: `MODULE:FUNCTION`, or `register` of a module."""
    module_name, _, name = reference.partition(":")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)  # as `python -m` would: an installed script does not see the working folder
    try:
        module = import_module(module_name)
    except Exception as error:
        # Whatever its code raises, such as a SyntaxError, is about the module and not about us.
        raise ConfigurationError(
            f"the module {module_name!r} cannot be imported: {type(error).__name__}: {error}",
            hint="Name a module of the working folder or an installed one: cloudmlops events process my_handlers.",
        ) from error
    register: Callable[[Platform], object] | None = getattr(module, name or "register", None)
    if not callable(register):
        raise ConfigurationError(
            f"{module_name} has no function {name or 'register'!r}",
            hint="Write def register(platform): and decorate the handlers with @platform.events.on(…) in it.",
        )
    register(platform)
    if not platform.events.handlers:
        raise ConfigurationError(
            f"{module_name}:{name or 'register'} registered no handler",
            hint="Decorate functions with @platform.events.on(ModelRegistered) in it.",
        )


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


def _kind(name: str) -> type[Event]:
    from cloudmlops.domain.events import KINDS

    for kind in KINDS.values():
        if name in {kind.__name__, kind.kind}:
            return kind
    raise InvalidRequestError(
        f"no kind of event is named {name!r}", hint=f"Kinds: {', '.join(kind.__name__ for kind in KINDS.values())}."
    )


def _row(event: Event) -> dict[str, object]:
    return {
        "time": event.time,
        "kind": type(event).__name__,
        "about": "/".join(map(str, event.meaning)),
        "key": event.key,
        "event": asdict(event),
    }


def _letter(letter: DeadLetter) -> dict[str, object]:
    return {
        **_row(letter.event),
        "time": letter.time,
        "handler": letter.handler,
        "attempts": letter.attempts,
        "error": letter.error,
        "message": letter.message,
        "traceback": letter.traceback,
    }
