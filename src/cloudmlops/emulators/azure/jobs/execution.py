"""The execution of one command: its folder, its inputs, its process, its log, its outputs."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.entra.managed import ManagedIdentities
from cloudmlops.emulators.azure.entra.principals import Principal
from cloudmlops.emulators.azure.jobs.assets import Assets
from cloudmlops.emulators.azure.jobs.distribution import processes_of
from cloudmlops.emulators.azure.jobs.expressions import filled, substituted
from cloudmlops.emulators.azure.jobs.images import Images
from cloudmlops.emulators.azure.jobs.logs import Log
from cloudmlops.emulators.azure.jobs.runs import Run, Runs
from cloudmlops.emulators.azure.jobs.stopping import Canceled, Stop
from cloudmlops.emulators.azure.jobs.surroundings import (
    HIDDEN,
    RUN_AUDIENCE,
    RUN_TOKEN_SECONDS,
    token_variables,
    variables_of,
)
from cloudmlops.emulators.azure.jobs.tasks import DIRECT, Output, Task, Value
from cloudmlops.emulators.azure.ml.clusters import Clusters
from cloudmlops.emulators.azure.ml.data import Data
from cloudmlops.emulators.azure.ml.data_addresses import Storage
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE, BLOB_STORE
from cloudmlops.emulators.azure.ml.identities import assigned_to
from cloudmlops.emulators.azure.ml.registry_addresses import in_registry
from cloudmlops.emulators.core.faults import Refused

_LOOK: Final = 0.1
"""Seconds between looks at what a process has printed."""
_SHELL: Final = "/bin/bash"
_LEFT: Final = ("outputs", "logs")
"""Folders in the working folder whose files are kept as artifacts."""


class Failed(Exception):  # noqa: N818 how a job ended, not a mistake of ours
    """It did not succeed; the message is the job's error."""


@dataclass(kw_only=True)
class Pace:
    """How long a job is on its way, on the clock; at once unless a test says otherwise."""

    preparing: timedelta = timedelta(0)
    queued: timedelta = timedelta(0)


class Executor:
    """Executes commands."""

    def __init__(
        self,
        world: World,
        runs: Runs,
        data: Data,
        identities: ManagedIdentities,
        images: Images,
        clusters: Clusters,
    ) -> None:
        self._world = world
        self._runs = runs
        self._data = data
        self._identities = identities
        self.images = images
        self._clusters = clusters
        self._blobs = Blobs(world.surroundings)
        self._assets = Assets(world.resources, runs)
        self.pace = Pace()
        self._folder = world.surroundings.state.folder / "jobs"
        shutil.rmtree(self._folder, ignore_errors=True)  # what a killed emulator left

    def execute(self, run: Run, task: Task, stop: Stop) -> str:
        """Execute a command to its end, and tell of it in its run.

        Returns:
            How the run ended: `Completed`, `Failed` or `Canceled`.
        """
        folder = self._folder / run.uuid
        try:
            outputs = self._execute(run, task, stop, folder)
        except (Failed, Refused, OSError) as error:
            self._runs.move(run, "Failed", error=str(error))
            return "Failed"
        except Canceled:
            self._runs.move(run, "Canceled")
            return "Canceled"
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what is to stay lies in blobs
        self._runs.move(run, "Completed", outputs=outputs)
        return "Completed"

    def _execute(self, run: Run, task: Task, stop: Stop, folder: Path) -> Mapping[str, Mapping[str, str]]:
        self._runs.move(run, "Preparing")
        artifacts = self._artifacts(run)
        own_variables, logs = [], []
        for name, variables in processes_of(task.distribution, task.log):
            own_variables.append(variables)
            logs.append(Log(self._blobs, artifacts, folder / name, name))
            logs[-1].begin()
        work, mounts = folder / "exe" / "wd", folder / "cap" / "data-capability" / "wd"
        for one in (work, mounts):
            one.mkdir(parents=True)
        stop.pause(self.pace.preparing)
        if task.code:
            self._bring(run, task.code, work)
        inputs = {name: self._input(run, name, value, mounts, task) for name, value in task.inputs.items()}
        outputs = {name: self._made(output, mounts / name) for name, output in task.outputs.items()}
        command = filled(task.command, inputs, {name: str(path) for name, path in outputs.items()})
        if task.program:
            command = shlex.join([*task.program, *shlex.split(command)])
        self._runs.move(run, "Queued")
        stop.pause(self.pace.queued)
        variables = self._variables(run, task, inputs, outputs)
        environments = [{**variables, **one} for one in own_variables]
        with self._nodes(run, task, stop), self._timed(run, task, stop) as own:
            self._runs.move(run, "Running")
            status, log = self._wait(command, environments, own, work, logs)
        self._runs.move(run, "Finalizing")
        for name in _LEFT:
            if (work / name).is_dir():
                self._blobs.upload(work / name, artifacts.account, artifacts.container, f"{artifacts.path}/{name}")
        taken = {
            name: self._taken(run, name, task.outputs[name], path)
            for name, path in outputs.items()
            if status == 0 or task.outputs[name].mode != "Upload"
        }
        if status != 0:
            raise Failed(
                f"Execution failed. User process '{_SHELL}' exited with status code {status}. "
                f"Please check log file '{log.name}' for error details. Error: {log.end()}"
            )
        return {name: self._registered(run, name, task.outputs[name], uri) for name, uri in taken.items()}

    def say(self, run: Run, name: str, line: str) -> None:
        """Append a line to one of a run's logs."""
        place, now = self._artifacts(run), self._world.surroundings.clock.now()
        text = f"[{now:%Y-%m-%d %H:%M:%SZ}] {line}\n"
        self._blobs.append(place.account, place.container, f"{place.path}/{name}", text.encode())

    def _artifacts(self, run: Run) -> Storage:
        return self._assets.storage(run.workspace, f"azureml://datastores/{ARTIFACT_STORE}/paths/{run.artifacts}")

    def _variables(
        self, run: Run, task: Task, inputs: Mapping[str, str | None], outputs: Mapping[str, Path]
    ) -> dict[str, str]:
        image = self._image(task.environment)
        base = self.images.environment(image, self._world.surroundings.environment())
        workspace = self._world.resources.get(run.workspace) or {}
        return {
            **{name: value for name, value in base.items() if name not in HIDDEN},
            **variables_of(run, workspace, inputs, outputs),
            **self._identity(run, task),
            **task.variables,
        }

    def _identity(self, run: Run, task: Task) -> dict[str, str]:
        """Return the variables of whom the process is: a managed identity if it asks for one, else who submitted it.

        A user-assigned one it gets tokens of when it names its client id, which is in a variable of its own
        (learn.microsoft.com, "Set up authentication", and issue 31071 of azure-sdk-for-python).
        """
        if (task.identity or {}).get("identityType") == "Managed":
            principal = self._managed(run, task.identity or {})
            variables = self._identities.environment(principal if principal.resource else None, principal)
            variables["DEFAULT_IDENTITY_CLIENT_ID"] = principal.client_id
        else:
            found = self._world.tokens.directory.by_object(run.by["object_id"])
            if found is None:
                raise Failed(f"The identity {run.by['object_id']} of the job is not known.")
            principal, variables = found, self._identities.environment(found)
        token = self._world.tokens.issue(principal, RUN_AUDIENCE, seconds=RUN_TOKEN_SECONDS)
        return {**variables, **token_variables(token)}

    def _managed(self, run: Run, identity: Mapping[str, Any]) -> Principal:
        """Return the managed identity that a job asks for.

        It is one of those that are assigned to the compute, of a serverless job a user-assigned one of the workspace
        (learn.microsoft.com, "Model training on serverless compute"). How others are refused is not recorded.
        """
        resources = self._world.resources
        compute = resources.get(f"{run.workspace}/computes/{run.compute}")
        assigned = assigned_to(self._world.tokens, compute or resources.get(run.workspace) or {})
        if compute is None:
            assigned = replace(assigned, own=None)
        wanted = next((str(identity[key]) for key in ("clientId", "objectId", "resourceId") if identity.get(key)), "")
        found = assigned.named(wanted) if wanted else assigned.default
        if found is None:
            where = f"compute {run.compute}" if compute is not None else f"workspace {run.workspace.rpartition('/')[2]}"
            raise Failed(f"The managed identity {wanted or 'of the job'} is not assigned to the {where}.")
        return found

    def _image(self, environment: str) -> str:
        """Return the image of an environment; one that is in no workspace and no registry stands for itself."""
        resources = self._world.resources
        found = in_registry(resources, environment) or resources.get(environment.removeprefix("azureml:"))
        return str((found or {}).get("properties", {}).get("image") or environment)

    @contextmanager
    def _nodes(self, run: Run, task: Task, stop: Stop) -> Iterator[None]:
        """Have nodes of the run's compute, once there are enough; what runs serverless needs none."""
        compute = f"{run.workspace}/computes/{run.compute}"
        if self._clusters.get(compute) is None:
            yield
            return
        try:
            with stop.waited() as ready:
                self._clusters.allocate(compute, run.name, ready, nodes=task.distribution.nodes)
            yield
        finally:
            self._clusters.release(compute, run.name)

    @contextmanager
    def _timed(self, run: Run, task: Task, stop: Stop) -> Iterator[Stop]:
        """Have a stop that is asked, too, when the task's timeout is over on the clock."""
        own, late = stop.below(), threading.Event()

        def end() -> None:
            late.set()
            own.ask()

        timer = self._world.surroundings.clock.after(task.timeout, end) if task.timeout else None
        try:
            yield own
        except Canceled:
            if late.is_set() and not stop.asked.is_set():
                self._runs.move(run, "Canceled", error=f"The job ran longer than its timeout of {task.timeout}.")
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _wait(
        self, command: str, environments: Sequence[Mapping[str, str]], stop: Stop, work: Path, logs: Sequence[Log]
    ) -> tuple[int, Log]:
        """Run a command to its end, as one process for each environment; those beside one that fails are ended.

        Returns:
            The first status that is no success, and the log of that process.
        """
        own = stop.below()
        going: dict[Log, subprocess.Popen[bytes]] = {}
        ended: list[tuple[int, Log]] = []
        try:
            for variables, log in zip(environments, logs, strict=True):
                going[log] = own.start([_SHELL, "-c", command], environment=variables, folder=work, log=log.file)
            while going:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    next(iter(going.values())).wait(_LOOK)
                for log, process in list(going.items()):
                    log.ship()
                    if process.poll() is not None:
                        ended.append((self._ended(process, own), log))
                        del going[log]
                        log.ship()
                if any(status for status, _ in ended) and going:
                    own.ask()
        finally:
            for process in going.values():
                self._world.surroundings.processes.end(process)
                own.ended(process)
        stop.check()
        return next(((status, log) for status, log in ended if status), ended[0])

    def _ended(self, process: subprocess.Popen[bytes], stop: Stop) -> int:
        """Return the status of a process that has ended; of a signal, as a shell tells it."""
        status = self._world.surroundings.processes.wait(process)
        stop.ended(process)
        return status if status >= 0 else 128 - status

    def _bring(self, run: Run, address: str, folder: Path) -> None:
        """Write what lies at an address into a folder."""
        place = self._assets.storage(run.workspace, address)
        if not self._blobs.download(place.account, place.container, place.path, folder):
            raise Failed(f"Error Code: ScriptExecution.StreamAccess.NotFound: there is nothing at {address}.")

    def _input(self, run: Run, name: str, value: Value | None, mounts: Path, task: Task) -> str | None:
        if value is None or value.literal:
            return value.text if value is not None else None
        if value.mode == DIRECT and not task.local:
            return self._assets.uri(run.workspace, value.text)
        folder = mounts / f"INPUT_{name}"
        folder.mkdir()
        self._bring(run, value.text, folder)
        if value.kind == "uri_file":
            place = self._assets.storage(run.workspace, value.text)
            return str(folder / place.path.rpartition("/")[2])
        return str(folder)

    def _made(self, output: Output, path: Path) -> Path:
        if output.kind == "uri_folder":
            path.mkdir()
        return path

    def _place(self, run: Run, name: str, output: Output) -> tuple[str, Storage]:
        end = name if output.kind == "uri_file" else f"{name}/"
        uri = output.uri or f"azureml://datastores/{BLOB_STORE}/paths/azureml/{run.name}/{end}"
        named = {"name": run.name, "output_name": name, "default_datastore": BLOB_STORE}
        uri = substituted(uri, lambda one: named.get(one, one))
        return uri, self._assets.storage(run.workspace, uri)

    def _taken(self, run: Run, name: str, output: Output, path: Path) -> str:
        uri, place = self._place(run, name, output)
        if path.is_dir():
            self._blobs.upload(path, place.account, place.container, place.path)
        elif path.is_file():
            self._blobs.write(place.account, place.container, place.path, path)
        return uri

    def _registered(self, run: Run, name: str, output: Output, uri: str) -> Mapping[str, str]:
        asset = output.asset_name or f"azureml_{run.name}_output_data_{name}"
        version = output.asset_version or ("" if output.asset_name else "1")
        made = self._data.register(run.workspace, asset, version, kind=output.kind, uri=uri, caller=run.caller)
        return {"assetId": self._asset_id(run.workspace, made), "type": output.kind, "uri": uri}

    def _asset_id(self, workspace: str, resource: str) -> str:
        """Return the id of an asset as run history writes it."""
        known = self._world.resources.get(workspace) or {}
        below = resource[len(workspace) :]
        return f"azureml://locations/{known.get('location')}/workspaces/{known['properties']['workspaceId']}{below}"
