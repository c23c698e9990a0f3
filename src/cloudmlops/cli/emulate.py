"""Running emulated clouds, alone or around a command."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudmlops.errors import ConfigurationError, ProviderNotInstalledError

if TYPE_CHECKING:
    from cloudmlops.emulators.azure.redis.service import Redis
    from cloudmlops.emulators.core.emulator import Cloud, Emulator

_CLOUDS: Final = {
    "azureml": "cloudmlops.emulators.azure:azure_cloud",
    "vertex": "cloudmlops.emulators.google:vertex_cloud",
}
_LOCATION: Final = "europe-west4"
_IMAGE_HINT: Final = "Write PATTERN=COMMAND, such as '*/trainer:*=python -m trainer'."
_COMMAND: Final = "cloudmlops.emulate.command"
_NOT_FOUND: Final = 127
_BY_SIGNAL: Final = 128


class _Around(click.Command):
    """Keeps what comes after `--` apart."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        before, after = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
        ctx.meta[_COMMAND] = tuple(after)
        return super().parse_args(ctx, before)


@click.command(cls=_Around)
@click.argument("clouds", nargs=-1, required=True, type=click.Choice(sorted(_CLOUDS)), metavar="CLOUD... [-- COMMAND]")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that keeps what the services hold; without it all is forgotten at the end.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to answer; 0 lets the system choose.")
@click.option(
    "--bucket",
    "buckets",
    multiple=True,
    metavar="[LOCATION/]NAME",
    help=f"A bucket that is there from the start, in {_LOCATION} if no location is given; several may be.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="PATTERN=COMMAND",
    help="What runs for container images, such as '*/trainer:*=python -m trainer'; several may be, the last counts.",
)
@click.option(
    "--workspace",
    "workspaces",
    multiple=True,
    metavar="[LOCATION/]GROUP/NAME",
    help="A workspace of Azure ML that is there from the start, with its storage; several may be.",
)
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="NAME:VERSION",
    help="An environment of Azure ML that is in each of these workspaces for steps to run in; several may be.",
)
@click.option(
    "--principals",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file of who there is in Azure and who may do what; without it an owner, and an identity that serves.",
)
@click.option(
    "--spark",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PYTHON",
    help="An interpreter that has pyspark, for Spark jobs of Azure ML; without it they are refused.",
)
@click.option("--json", "as_json", is_flag=True, help="Print address and environment in JSON.")
@click.pass_context
def emulate(
    ctx: click.Context,
    clouds: tuple[str, ...],
    state: Path | None,
    port: int,
    buckets: tuple[str, ...],
    images: tuple[str, ...],
    workspaces: tuple[str, ...],
    environments: tuple[str, ...],
    principals: Path | None,
    spark: Path | None,
    as_json: bool,
) -> None:
    """Run clouds (azureml, vertex) on this machine: alone until Ctrl-C, or around a command.

    COMMAND reaches nothing but the emulated services: every other host is refused, and listed at the end. Its exit code
    is passed on.
    """
    command: tuple[str, ...] = ctx.meta[_COMMAND]
    with ExitStack() as stack:
        stopping = stack.enter_context(_stopped_by_signals())
        # What a cloud is given when it is built.
        given = {"azureml": principals, "vertex": _read_images(images)}
        of_azure = {
            "workspace": workspaces,
            "environment": environments,
            "principals": principals,
            "spark": spark,
        }
        _check_clouds(clouds, azureml=of_azure, vertex={"bucket": buckets})
        emulator = stack.enter_context(_running(clouds, given, state=state, port=port))
        _make_buckets(emulator, buckets)
        _make_workspaces(emulator, workspaces, environments)
        _let_spark(emulator, spark)
        redis = _redis(clouds, emulator)
        code = _run(command, emulator, stopping) if command else _serve(emulator, stopping, redis, as_json=as_json)
        _tell_refused(emulator.refused, as_json=as_json)
        if command and not as_json and redis is not None and redis.door.used:
            click.echo(f"Redis was {redis.described}.", err=True)
    ctx.exit(code)


@contextmanager
def _running(clouds: Sequence[str], given: Mapping[str, Any], *, state: Path | None, port: int) -> Iterator[Emulator]:
    from cloudmlops.emulators.core.faults import Refused

    try:
        from cloudmlops.emulators.core.emulator import Emulator

        built = [_cloud(name, given[name]) for name in dict.fromkeys(clouds)]
        emulator = Emulator(built, state=state, port=port)
        emulator.begin()
    except ImportError as error:
        raise ProviderNotInstalledError(
            f"the emulator of {', '.join(clouds)} needs {error.name or error}, which is not installed",
            hint=f'Install it: pip install "cloudmlops[emulators,{",".join(sorted(set(clouds)))}]".',
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"the emulator cannot start: {error}",
            hint="Another program may use the port or the state folder; choose others with --port and --state.",
        ) from error
    except Refused as refused:
        raise ConfigurationError(
            f"the emulator cannot start: {refused.message}", hint="docs/emulators.md shows a file of principals."
        ) from refused
    try:
        yield emulator
    finally:
        emulator.__exit__(None, None, None)


def _check_clouds(clouds: Sequence[str], **options: Mapping[str, object]) -> None:
    faults = [
        f"--{option} is for {cloud}, which is not to run"
        for cloud, given in options.items()
        for option, value in given.items()
        if value and cloud not in clouds
    ]
    if faults:
        raise ConfigurationError("; ".join(faults), hint="Name the cloud, or leave the option out.")


def _cloud(name: str, given: Any) -> Cloud:
    from cloudmlops.emulators.core.faults import Refused

    module, _, attribute = _CLOUDS[name].partition(":")
    try:
        cloud: Cloud = getattr(import_module(module), attribute)(given)
    except Refused as refused:
        raise ConfigurationError(
            f"nothing can run for an image: {refused.message}", hint="Name a program that is installed with --image."
        ) from refused
    except ValueError as error:
        raise ConfigurationError(
            f"the principals are not understood: {error}", hint="docs/emulators.md shows such a file."
        ) from error
    return cloud


def _read_images(given: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in given:
        pattern, _, command = one.partition("=")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ConfigurationError(f"the image {one!r} cannot be read: {error}", hint=_IMAGE_HINT) from error
        if not pattern or not words:
            raise ConfigurationError(f"the image {one!r} has no pattern or no command", hint=_IMAGE_HINT)
        found.pop(pattern, None)
        found[pattern] = words
    return found


def _make_buckets(emulator: Emulator, wanted: Sequence[str]) -> None:
    if not wanted:
        return
    from cloudmlops.emulators.core.faults import Refused
    from cloudmlops.emulators.google.cloud import GoogleCloud

    google = emulator.cloud(GoogleCloud)
    for given in wanted:
        location, _, name = given.rpartition("/")
        try:
            google.ensure_bucket(name, location or _LOCATION)
        except Refused as refused:
            raise ConfigurationError(
                f"the bucket {given!r} cannot be made: {refused.message}",
                hint="Write NAME or LOCATION/NAME, such as europe-west4/flights.",
            ) from refused


def _let_spark(emulator: Emulator, python: Path | None) -> None:
    if python is None:
        return
    from cloudmlops.emulators.azure.cloud import AzureCloud
    from cloudmlops.emulators.azure.jobs.images import Image

    emulator.cloud(AzureCloud).images.let("spark:*", Image(python=str(python.absolute())))


def _make_workspaces(emulator: Emulator, wanted: Sequence[str], environments: Sequence[str]) -> None:
    if environments and not wanted:
        raise ConfigurationError(
            "--environment says what is in workspaces, and there are none",
            hint="Name a workspace with --workspace GROUP/NAME.",
        )
    if not wanted:
        return
    from cloudmlops.emulators.azure.cloud import AzureCloud

    azure = emulator.cloud(AzureCloud)
    for given in wanted:
        *location, group, name = ["", *given.split("/")]
        if not group or len(location) > 2:
            raise ConfigurationError(
                f"the workspace {given!r} cannot be made",
                hint="Write GROUP/NAME or LOCATION/GROUP/NAME, such as westeurope/ml/flights.",
            )
        workspace = azure.ensure_workspace(name, group=group, location=location[-1])
        for environment in environments:
            of, _, version = environment.partition(":")
            if not of or not version:
                raise ConfigurationError(
                    f"the environment {environment!r} cannot be made",
                    hint="Write NAME:VERSION, such as steps:1; a target names it as azureml:steps:1.",
                )
            azure.ensure_environment(of, version, workspace=workspace)


def _redis(clouds: Sequence[str], emulator: Emulator) -> Redis | None:
    if "azureml" not in clouds:
        return None
    from cloudmlops.emulators.azure.cloud import AzureCloud

    return emulator.cloud(AzureCloud).redis


class _Stopping:
    """Whether we are asked to end, and the child that is to be told."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.child: subprocess.Popen[bytes] | None = None
        self.missed: list[int] = []
        """What came while the child was being started."""

    def stop(self, number: int, _: Any) -> None:
        self.asked.set()
        # Ctrl-C reaches the child by itself if it is in the terminal's foreground as we are.
        if number == signal.SIGINT and _in_foreground():
            return
        if self.child is None:
            self.missed.append(number)
        else:
            self.child.send_signal(number)


def _in_foreground() -> bool:
    """Say whether a terminal's Ctrl-C is for this process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:  # there is none
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


@contextmanager
def _stopped_by_signals() -> Iterator[_Stopping]:
    stopping = _Stopping()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # of nohup, which is meant
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stopping.stop) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(emulator: Emulator, stopping: _Stopping, redis: Redis | None, *, as_json: bool) -> int:
    own = {name: value for name, value in emulator.environment().items() if os.environ.get(name) != value}
    if as_json:
        described = {"address": emulator.address, "url": emulator.url, "environment": own, **emulator.status()}
        if redis is not None:
            described["redis"] = redis.described
        click.echo(json.dumps(described, indent=2))
    else:
        click.echo(f"The emulator answers at {emulator.url} until Ctrl-C: {', '.join(emulator.status()['services'])}.")
        if redis is not None:
            click.echo(f"Redis, which starts when it is first used, is {redis.described}.")
        click.echo("A program with these variables reaches it, and nothing else:\n")
        click.echo("\n".join(f"export {name}='{value}'" for name, value in sorted(own.items())))
    while not stopping.asked.wait(3600):
        pass
    return 0


def _run(command: Sequence[str], emulator: Emulator, stopping: _Stopping) -> int:
    if stopping.asked.is_set():
        return _BY_SIGNAL + (stopping.missed or [signal.SIGINT])[0]
    try:
        stopping.child = emulator.processes.accompany(command, environment=emulator.environment())
    except FileNotFoundError:
        click.echo(f"error: there is no program {command[0]!r}", err=True)
        return _NOT_FOUND
    except PermissionError:
        click.echo(f"error: {command[0]!r} may not be run", err=True)
        return _NOT_FOUND - 1
    for number in stopping.missed:
        stopping.child.send_signal(number)
    code = stopping.child.wait()
    return code if code >= 0 else _BY_SIGNAL - code


def _tell_refused(refused: Mapping[str, int], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"refused": dict(refused)}), err=True)
    elif refused:
        click.echo("Not emulated, and therefore refused:", err=True)
        for host, times in sorted(refused.items()):
            click.echo(f"  {host}  {times} time{'s' if times != 1 else ''}", err=True)
