"""What every command shares: the platform it talks to, and how it answers people and scripts."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.errors import CloudMLOpsError


class Session:
    """One command's platform and its way of answering."""

    def __init__(self, *, target: str | None, actor: str | None, as_json: bool) -> None:
        self._target = target
        self._actor = actor
        self.as_json = as_json

    @cached_property
    def platform(self) -> Platform:
        """The platform, connected at first use."""
        from cloudmlops._platform import connect

        return connect(self._target, actor=self._actor)

    def close(self) -> None:
        """Let go of the platform, if the command has used it."""
        if "platform" in self.__dict__:
            self.platform.close()

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
        """Print rows: for scripts a JSON list of objects with all keys, for people a table of `columns`."""
        listed = list(rows)
        if self.as_json:
            _print_json(listed)
            return
        from rich import box
        from rich.table import Table

        drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            drawn.add_column(column.replace("_", " "), overflow="fold")
        for row in listed:
            drawn.add_row(*(_cell(row.get(column)) for column in columns))
        _print_rich(drawn if listed else f"{title}: none")

    def record(self, title: str, values: Mapping[str, object]) -> None:
        """Print one thing: for scripts a JSON object, for people a name and a value a line."""
        if self.as_json:
            _print_json(values)
            return
        width = max((len(name) for name in values), default=0)
        lines = [f"  {name.replace('_', ' '):<{width}}  {_cell(value)}" for name, value in values.items()]
        click.echo("\n".join([title, *lines]))

    def note(self, text: str) -> None:
        """Tell people something that scripts need not know."""
        if not self.as_json:
            click.echo(text, err=True)

    @contextmanager
    def warned(self, logger: str) -> Iterator[list[str]]:
        """Tell people at once what a logger warns of, whatever logging is set up; yield it, for scripts to be told."""
        told: list[str] = []
        log, handler = logging.getLogger(logger), _Told(self, told)
        propagated, log.propagate = log.propagate, False
        log.addHandler(handler)
        try:
            yield told
        finally:
            log.removeHandler(handler)
            log.propagate = propagated


class _Told(logging.Handler):
    """Hands warnings on to people."""

    def __init__(self, session: Session, told: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._session = session
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(record.getMessage())
        self._session.note(f"warning: {self._told[-1]}")


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--target`, `--actor` and `--json` to a command and hand it a `Session` as its first argument."""

    def wrapped(*args: Any, target: str | None, actor: str | None, as_json: bool, **kwargs: Any) -> Any:
        session = Session(target=target, actor=actor, as_json=as_json)
        try:
            return command(session, *args, **kwargs)
        finally:
            session.close()

    options = (
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
        click.option("--actor", metavar="NAME", help="Act under this name; records mark it as self-declared."),
        click.option("--target", metavar="URL|NAME", help="The platform, such as local://.cloudmlops."),
    )
    update_wrapper(wrapped, command)
    for option in options:
        wrapped = option(wrapped)
    return wrapped


def report(error: CloudMLOpsError) -> None:
    """Say what went wrong on standard error: as JSON where the command was asked for JSON."""
    if "--json" in sys.argv:
        body = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        click.echo(json.dumps({"error": body}), err=True)
        return
    click.echo(click.style("error: ", fg="red", bold=True) + str(error), err=True)


def _print_json(value: object) -> None:
    try:
        text = json.dumps(value, default=plain, indent=2, allow_nan=False)
    except ValueError:  # JSON has neither NaN nor infinity: both are null, as they are to most who write JSON
        finite = json.loads(json.dumps(value, default=plain), parse_constant=lambda _: None)
        text = json.dumps(finite, indent=2)
    click.echo(text)


def _print_rich(value: object) -> None:
    from rich.console import Console

    # Into a file or a pipe a table is written as wide as it is: nothing there wraps for a reader.
    Console(width=None if sys.stdout.isatty() else 10_000).print(value)


def plain(value: object) -> object:
    """Turn a value that JSON does not know into one that it does."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_cell(part)}" for name, part in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(part) for part in value) or "-"
    return str(value)
