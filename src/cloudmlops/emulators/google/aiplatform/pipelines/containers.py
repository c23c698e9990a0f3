"""One attempt at a task whose executor is a container: its files, its process, its log."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.aiplatform.images import images_of
from cloudmlops.emulators.google.aiplatform.pipelines.mirror import Mirror
from cloudmlops.emulators.google.aiplatform.pipelines.placeholders import Filling, filled_command
from cloudmlops.emulators.google.aiplatform.pipelines.task_logs import TaskLog
from cloudmlops.emulators.google.aiplatform.pipelines.values import Json, Values, read

_LOOK: Final = 0.1
"""Seconds between looks at what a process has printed."""


class Failed(Exception):  # noqa: N818 how an attempt ended, not a mistake of ours
    """The container ended with another status than 0, or left outputs that are not of their types."""


class Cancelled(Exception):  # noqa: N818 how an attempt ended
    """It was asked to end."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What is run."""

    image: str
    command: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def container_of(spec: Json) -> Container:
    """Read a container from the IR."""
    return Container(
        image=spec.get("image", ""),
        command=list(spec.get("command", ())),
        arguments=list(spec.get("args", ())),
        environment={variable["name"]: variable.get("value", "") for variable in spec.get("env", ())},
    )


class Stop:
    """Lets processes be ended from outside."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._pauses: set[threading.Event] = set()
        self.asked = threading.Event()

    def ask(self) -> None:
        """End what runs, and let nothing else begin."""
        with self._lock:
            self.asked.set()
            running = tuple(self._running)
            for pause in self._pauses:
                pause.set()
        for process in running:
            self._surroundings.processes.end(process)

    def start(self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> Any:
        """Start a process.

        Raises:
            Cancelled: It was asked to end before.
        """
        with self._lock:
            if self.asked.is_set():
                raise Cancelled
            process = self._surroundings.processes.start(command, environment=environment, folder=folder, log=log)
            self._running.add(process)
            return process

    def pause(self, delay: timedelta) -> None:
        """Wait for a while by the emulator's clock.

        Raises:
            Cancelled: It was asked to end.
        """
        over = threading.Event()
        timer = self._surroundings.clock.after(delay, over.set)
        with self._lock:
            self._pauses.add(over)
            if self.asked.is_set():
                over.set()
        over.wait()
        timer.cancel()
        with self._lock:
            self._pauses.discard(over)
        if self.asked.is_set():
            raise Cancelled

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self._running.discard(process)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt."""

    container: Container
    inputs: Values
    artifacts: Mapping[str, Any]
    """The outputs, as `Artifact` messages; their metadata are set by what the container says."""
    parameters: Mapping[str, str]
    """Type of each output parameter."""
    facts: Mapping[str, str]
    folder: Path
    log: TaskLog
    stop: Stop

    def run(self, surroundings: Surroundings) -> Values:
        """Run the container to its end and return what it left.

        Raises:
            Failed: It did not succeed.
            Cancelled: It was asked to end.
        """
        try:
            return self._run(surroundings)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)  # what is to stay lies in buckets and logs

    def _run(self, surroundings: Surroundings) -> Values:
        mirror = Mirror(surroundings, self.folder / "gcs")
        files = {name: self.folder / "parameters" / name for name in self.parameters}
        filling = Filling(
            inputs=self.inputs,
            outputs=self.artifacts,
            output_files=files,
            output_file=self.folder / "executor_output.json",
            local=mirror.local,
            facts=self.facts,
        )
        for name in ("gcs", "parameters", "work"):
            (self.folder / name).mkdir(parents=True)
        for artifact in self.artifacts.values():
            Path(mirror.local(artifact.uri)).parent.mkdir(parents=True, exist_ok=True)
        try:
            for artifacts in self.inputs.artifacts.values():
                for artifact in artifacts:
                    mirror.bring(artifact.uri)
            command, environment = self._command(surroundings, filling, mirror)
            status = self._wait(surroundings, command, environment)
            mirror.take()
        except Refused as refused:
            raise Failed(refused.message) from refused
        except OSError as error:
            raise Failed(f"The container could not be run: {error}.") from error
        if self.stop.asked.is_set():
            raise Cancelled
        if status != 0:
            raise Failed(
                f"The replica workerpool0-0 exited with a non-zero status of {status}. "
                f"To find out more about why your job exited please check the logs: {self.log.job}"
            )
        return self._left(filling, mirror)

    def _command(
        self, surroundings: Surroundings, filling: Filling, mirror: Mirror
    ) -> tuple[list[str], dict[str, str]]:
        images = images_of(surroundings.state)
        words = images.command(
            self.container.image,
            filled_command(self.container.command, filling),
            filled_command(self.container.arguments, filling),
        )
        variables = {name: mirror.rewritten(value) for name, value in self.container.environment.items()}
        environment = images.environment(self.container.image, surroundings.environment())
        return [mirror.rewritten(word) for word in words], {**environment, **variables}

    def _wait(self, surroundings: Surroundings, command: Sequence[str], environment: Mapping[str, str]) -> int:
        printed = self.folder / "log.txt"
        process = self.stop.start(command, environment=environment, folder=self.folder / "work", log=printed)
        try:
            while True:
                try:
                    process.wait(_LOOK)
                    break
                except subprocess.TimeoutExpired:
                    self.log.ship(printed)
            return surroundings.processes.wait(process)
        finally:
            self.stop.ended(process)
            self.log.ship(printed, last=True)

    def _left(self, filling: Filling, mirror: Mirror) -> Values:
        described = _described(filling.output_file)
        given = described.get("parameterValues", {})
        parameters = {}
        for name, kind in self.parameters.items():
            file = filling.output_files[name]
            if name in given:
                parameters[name] = given[name]
            elif file.exists():
                try:
                    parameters[name] = read(file.read_text(encoding="utf-8"), kind, name)
                except Refused as refused:
                    raise Failed(refused.message) from refused
        for name, artifact in self.artifacts.items():
            for told in described.get("artifacts", {}).get(name, {}).get("artifacts", ())[:1]:
                if told.get("uri"):
                    artifact.uri = mirror.address(told["uri"])
                artifact.metadata.update(told.get("metadata", {}))
        return Values(parameters=parameters, artifacts={name: [one] for name, one in self.artifacts.items()})


def _described(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Failed(f"The container's description of its outputs is no JSON: {error}.") from error
    return content if isinstance(content, dict) else {}
