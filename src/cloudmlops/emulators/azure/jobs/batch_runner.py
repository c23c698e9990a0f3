"""The program of a batch job and of a parallel step: it hands files to a script in mini batches.

`python batch_runner.py SETTINGS --data PATH [--output FOLDER] [--append FILE] [--model FOLDER] [-- ARGUMENTS]` needs no
more than the standard library, so that any interpreter that stands for an image can run it. What a script may do, and
how rows are written, follows learn.microsoft.com, "Author scoring scripts for batch deployments", "Deploy MLflow models
in batch deployments" and "How to use parallel job in pipeline":

- `init()` is called once in a process, `run(mini_batch)` with a list of paths, and in a parallel step `shutdown()` at
  the end. A batch job does not explore folders in the folder; what a parallel step does with them is not emulated.
- It returns a list or a pandas DataFrame: each element or row counts as one file that was scored. Elements are written
  as text, rows of a DataFrame with spaces between and without a header.
- Of a model of MLflow without a script each line is the text of a list, `['a.csv', 1.0]`, for each row of a file.
- A mini batch that raises, or is not done in time, is tried again; then its files count as failed, and it, too, as it
  does when it returns less than there are files. When more have failed than a threshold says, and when no file was
  scored, the job fails.
- A script of a batch job may write files of its own to the folder `AZUREML_BI_OUTPUT_PATH`.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final

_FAILED: Final = "User program failed with Exception: Run failed, please check logs for details."
_NOTHING: Final = (
    "There is no succeeded mini batch item returned from run(). Please check 'response: run()' in "
    "https://aka.ms/batch-inference-documentation."
)
_SOCKETS: Final = "CLOUDMLOPS_BATCH_SOCKETS"
"""The variable that names a folder for sockets: their paths must be short."""
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
_DYING_SECONDS: Final = 10.0
_OK: Final = 200


def main() -> int:
    """Score all files; return the status of the process."""
    given, arguments = _arguments()
    settings: dict[str, Any] = json.loads(given.settings)
    if given.model and settings.get("model_path"):
        os.environ["AZUREML_MODEL_DIR"] = str(_mounted(given.model, settings))
    if given.output:
        os.environ["AZUREML_BI_OUTPUT_PATH"] = str(given.output)
    if given.worker:
        sys.argv = [settings["script"], *arguments]
        return _work(settings, given.worker)
    found = [given.data] if given.data.is_file() else sorted(given.data.iterdir())
    if settings["parallel"] and any(one.is_dir() for one in found):
        _say(f"Not emulated: folders in {given.data}, of which a parallel step is to be given the files.")
        return 1
    files = [one for one in found if one.is_file()]
    size = settings["mini_batch_size"]
    batches = [[str(file) for file in files[begin : begin + size]] for begin in range(0, len(files), size)]
    _say(f"{len(files)} files in {len(batches)} mini batches")
    rows = given.append or (given.output / settings["file"] if settings.get("file") else None)
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        os.environ[_SOCKETS] = folder
        return _Scoring(batches, settings, rows).status()


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return what this program is given, and what a script is."""
    parser = argparse.ArgumentParser(description="Score files in mini batches.")
    parser.add_argument("settings", help="as JSON")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--append", type=Path, metavar="FILE", help="where rows are written, instead of in the output")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--worker", type=int, nargs=2, metavar="FD", help="for this program itself")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    return parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]


def _mounted(model: Path, settings: dict[str, Any]) -> Path:
    """Let the model be seen as deployments see it: below its name and version, in its folder if it has one."""
    folder: Path = model.parent / "azureml-models" / settings["model_path"]
    if not settings["model_base"]:
        folder.parent.mkdir(parents=True, exist_ok=True)
        link = folder
    else:
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / settings["model_base"]
    if not link.exists():
        link.symlink_to(model, target_is_directory=True)
    return folder


class _Scoring:
    """All mini batches, by as many workers at once as the settings say."""

    def __init__(self, batches: Sequence[Sequence[str]], settings: dict[str, Any], rows: Path | None) -> None:
        self._settings = settings
        self._rows = rows
        self._left = list(enumerate(batches))[::-1]
        self._all = len(batches)
        self._counting = threading.Lock()
        self._done = self._failed = self._failed_batches = 0
        self._aborted = ""

    def status(self) -> int:
        """Score them; return the status of the process."""
        if self._rows is not None:
            self._rows.touch()
        count = max(1, min(self._settings["workers"], self._all))
        with ThreadPoolExecutor(count) as pool:
            for worker in [pool.submit(self._work) for _ in range(count)]:
                worker.result()
        if not self._aborted and not self._done:
            self._aborted = _NOTHING
        if self._aborted:
            _say(self._aborted)
        return 1 if self._aborted else 0

    def _work(self) -> None:
        worker = _Worker()
        while (wanted := self._next()) is not None:
            number, batch = wanted
            reply = None
            for attempt in range(self._settings["retries"] + 1):
                reply = worker.run(batch, self._settings["timeout_seconds"])
                if reply is not None:
                    break
                if not worker.began:
                    with self._counting:
                        self._aborted = self._aborted or _FAILED
                    return
                _say(f"mini batch {number} failed in attempt {attempt + 1}")
            self._count(number, len(batch), reply)
        worker.end(quietly=not self._aborted)

    def _next(self) -> tuple[int, Sequence[str]] | None:
        with self._counting:
            return None if self._aborted or not self._left else self._left.pop()

    def _count(self, number: int, size: int, reply: dict[str, Any] | None) -> None:
        rows = reply["rows"] if reply is not None else 0
        with self._counting:
            self._done += rows
            self._failed += max(0, size - rows)
            self._failed_batches += rows < size
            if reply is not None and self._rows is not None:
                with self._rows.open("a", encoding="utf-8") as target:
                    target.write(reply["text"])
            self._aborted = self._aborted or self._over()
        _say(f"mini batch {number}: {rows} of {size} items")

    def _over(self) -> str:
        """Return why no more is to be scored; empty when enough has not failed."""
        for failed, most, what in (
            (self._failed, self._settings["error_threshold"], "error count"),
            (self._failed_batches, self._settings["batch_error_threshold"], "mini batch error count"),
        ):
            if 0 <= most < failed:
                return f"The {what} {failed} is above the error threshold {most}: the job is aborted."
        percent, most = 100 * self._failed_batches / self._all, self._settings["failed_percent"]
        if percent > most:
            return f"{percent:g} % of the mini batches failed, more than {most} %: the job is aborted."
        return ""


class _Worker:
    """What runs the script: a new process after one that hung or died."""

    def __init__(self) -> None:
        self._process: _Process | None = None
        self.began = False
        """Whether the script's `init` has ever succeeded."""

    def run(self, batch: Sequence[str], seconds: float) -> dict[str, Any] | None:
        """Have a mini batch scored; None when it failed."""
        if self._process is None:
            fresh = _Process()
            if fresh.reply(None) is None:
                fresh.end()
                return None
            self.began, self._process = True, fresh
        reply = self._process.asked(batch, seconds)
        if reply is None:
            self.end()
        return reply if reply is not None and "text" in reply else None

    def end(self, *, quietly: bool = False) -> None:
        """End the process; quietly, it may do what it does at its end."""
        if self._process is not None:
            self._process.end(quietly=quietly)
            self._process = None


class _Process:
    """This program again, as one that runs the script."""

    def __init__(self) -> None:
        orders_in, orders_out = os.pipe()
        replies_in, replies_out = os.pipe()
        program, *given = sys.argv
        command = [sys.executable, "-u", program, "--worker", str(orders_in), str(replies_out), *given]
        self._process = subprocess.Popen(command, pass_fds=(orders_in, replies_out))
        os.close(orders_in)
        os.close(replies_out)
        self._orders, self._replies = os.fdopen(orders_out, "wb"), os.fdopen(replies_in, "rb")
        self._ending = False

    def asked(self, batch: Sequence[str], seconds: float) -> dict[str, Any] | None:
        """Send a mini batch; return the reply, None when there is none in time."""
        try:
            self._orders.write(json.dumps(batch).encode() + b"\n")
            self._orders.flush()
        except OSError:
            return None
        return self.reply(seconds)

    def reply(self, seconds: float | None) -> dict[str, Any] | None:
        """Wait for a reply; None of a process that has ended, or when the time is over."""
        ready, _, _ = select.select([self._replies], [], [], seconds)
        line = self._replies.readline() if ready else b""
        self._ending = bool(ready) and not line
        reply: dict[str, Any] | None = json.loads(line) if line else None
        return reply

    def end(self, *, quietly: bool = False) -> None:
        """End it; one that ends by itself may tell why, and one that is ended quietly do what it does at its end."""
        if quietly:
            self._orders.close()
        if self._ending or quietly:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_SECONDS)
        self._process.kill()
        self._process.wait()
        self._replies.close()
        with suppress(OSError):  # of an order that it did not read
            self._orders.close()


def _work(settings: dict[str, Any], pipes: Sequence[int]) -> int:
    """Score mini batches as they are ordered, until there are no more."""
    with os.fdopen(pipes[0], "rb") as orders, os.fdopen(pipes[1], "wb") as replies:
        module = _script(Path(settings["script"])) if settings["script"] else None
        run = module.run if module is not None else _mlflow(settings)
        _reply(replies, {"began": True})
        for line in orders:
            try:
                reply = _written(run(json.loads(line)))
            except Exception:  # noqa: BLE001 the user's own, told in the log as the service does
                traceback.print_exc(file=sys.stdout)
                reply = {"failed": True}
            sys.stdout.flush()
            _reply(replies, reply)
        if settings["parallel"] and callable(getattr(module, "shutdown", None)):
            module.shutdown()  # type: ignore[union-attr] # there is one that has it
    return 0


def _reply(replies: IO[bytes], content: dict[str, Any]) -> None:
    replies.write(json.dumps(content).encode() + b"\n")
    replies.flush()


def _written(result: Any) -> dict[str, Any]:
    """Return how many items a script returned, and their lines."""
    if hasattr(result, "to_csv"):
        return {"rows": len(result), "text": result.to_csv(sep=" ", header=False, index=False)}
    items = list(result)
    return {"rows": len(items), "text": "".join(f"{item}\n" for item in items)}


def _script(script: Path) -> ModuleType:
    sys.path.insert(0, str(script.absolute().parent))
    specification = importlib.util.spec_from_file_location("entry_script", script)
    if specification is None or specification.loader is None or not script.is_file():
        raise ImportError(f"there is no scoring script {script}")
    module = importlib.util.module_from_spec(specification)
    sys.modules["entry_script"] = module
    specification.loader.exec_module(module)
    if not callable(getattr(module, "run", None)):
        raise ImportError(f"the scoring script {script.name} has no function run")  # noqa: TRY004 what is wrong is the script
    if callable(getattr(module, "init", None)):
        module.init()
    return module


def _mlflow(settings: dict[str, Any]) -> Callable[[list[str]], list[Any]]:
    """Return what stands for the script that the service makes for models of MLflow."""
    path = f"{os.environ[_SOCKETS]}/{os.getpid()}"
    lifeline, own = os.pipe()
    os.set_inheritable(lifeline, True)
    server = [*settings["server"], "--uds", path, "--lifeline", str(lifeline)]
    process = subprocess.Popen([*server, "--model", os.environ["AZUREML_MODEL_DIR"]], pass_fds=(lifeline,))
    os.close(lifeline)
    os.set_inheritable(own, False)
    deadline = time.monotonic() + _START_SECONDS
    while not Path(path).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the model could not be loaded")
        time.sleep(_LOOK_SECONDS)

    def run(mini_batch: list[str]) -> list[Any]:
        frames = [(Path(file).name, _frame(Path(file))) for file in mini_batch]
        read = [(name, frame) for name, frame in frames if frame is not None]
        if not read:
            raise ValueError("No objects to concatenate")
        return [[name, one] for name, frame in read for one in _predicted(path, frame)]

    return run


def _frame(file: Path) -> dict[str, Any] | None:
    """Read a file as a table; None of a file that is none."""
    import pandas as pd

    try:
        if file.suffix == ".csv":
            frame = pd.read_csv(file)
        elif file.suffix in (".parquet", ".pqt"):
            frame = pd.read_parquet(file)
        else:
            raise ValueError(f"files of type {file.suffix or 'none'} are not emulated: .csv, .parquet and .pqt are")
    except (ValueError, OSError) as error:
        _say(f"ERROR:azureml:Error processing input file: {file.name}: {error}")
        return None
    content: dict[str, Any] = json.loads(frame.to_json(orient="split", date_format="iso", double_precision=15))
    return {"columns": content["columns"], "data": content["data"]}


def _predicted(path: str, frame: dict[str, Any]) -> list[Any]:
    connection = _UnixConnection(path)
    try:
        body = json.dumps({"dataframe_split": frame}).encode()
        connection.request("POST", "/invocations", body, {"content-type": "application/json"})
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    if response.status != _OK:
        raise RuntimeError(f"the model did not predict: {data.decode(errors='replace')}")
    predictions: list[Any] = json.loads(data)["predictions"]
    return predictions


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
