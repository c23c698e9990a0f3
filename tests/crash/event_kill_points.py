"""Handle one event in forked processes, each killed at another write; print what a restart makes of it, as JSON lines.

`event_kill_points.py FOLDER`. The handler promotes a model and publishes an event: two effects of different services.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cloudmlops import DriftDetected, EventContext, ModelRegistered, Platform, Stage, StageChanged, connect
from cloudmlops.storage.local import LocalStore
from cloudmlops.testing.contract.models import written_model

T = TypeVar("T")


class KillingStore(LocalStore):
    """Ends its process right before or right after the n-th write."""

    def __init__(self, root: Path, *, write: int, after: bool) -> None:
        super().__init__(root, durable=False)  # a killed process loses nothing that it wrote; only a machine would
        self._left = write
        self._after = after

    def put(self, key: str, data: bytes) -> None:
        self._dying(lambda: super(KillingStore, self).put(key, data))

    def hint(self, key: str, data: bytes) -> None:
        self._dying(lambda: super(KillingStore, self).hint(key, data))

    def create(self, key: str, data: bytes) -> bool:
        return self._dying(lambda: super(KillingStore, self).create(key, data))

    def _dying(self, write: Callable[[], T]) -> T:
        self._left -= 1
        if self._left == 0 and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = write()
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def register(platform: Platform) -> None:
    @platform.events.on(ModelRegistered, handler="validate")
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="validated")
        ctx.platform.events.publish(
            DriftDetected(
                platform=event.platform, time=datetime.now(UTC), subject="s", metric="m", value=1.0, threshold=0.5
            )
        )


def in_child(work: Callable[[], None]) -> int:
    """Return the wait status of a child that does `work`."""
    if (child := os.fork()) == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 a forked child must not return into the test run
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def opened(folder: Path, store: LocalStore) -> Platform:
    platform = connect(f"local://{folder}")
    platform._backends.__dict__["objects"] = store
    return platform


def prepared(folder: Path, artifact: Path) -> None:
    opened(folder, LocalStore(folder / "objects", durable=False)).models.register("m", artifact)


def killed_at(folder: Path, write: int, *, after: bool) -> None:
    platform = opened(folder, KillingStore(folder / "objects", write=write, after=after))
    register(platform)
    platform.events.process()


def restarted(folder: Path, report: dict[str, object]) -> None:
    platform = opened(folder, LocalStore(folder / "objects", durable=False))
    register(platform)
    handled = platform.events.process()
    moves = [entry.changes for entry in platform.models.history("m") if entry.changes]
    report |= {
        "handled": handled,
        "moves": len(moves),
        "stage_changes": len(platform.events.list(kind=StageChanged)),
        "drifts": len(platform.events.list(kind=DriftDetected)),
        "dead_letters": len(platform.events.dead_letters()),
        "left": platform.events.process(),
        "stage": platform.models.get("m", "1").stage,
        "problems": [str(problem) for problem in platform.models.verify("m").problems],
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    artifact = written_model(root / "artifact")
    prepared(root / "imports", artifact)  # here, so that the children find everything imported
    restarted(root / "imports", {"write": 0, "after": False, "killed": False})
    for after in (False, True):
        for write in range(1, 200):
            folder = root / f"{write}-{after}"
            in_child(lambda folder=folder: prepared(folder, artifact))
            status = in_child(lambda folder=folder, write=write, after=after: killed_at(folder, write, after=after))
            killed = os.WIFSIGNALED(status)
            if in_child(
                lambda folder=folder, killed=killed, write=write, after=after: restarted(
                    folder, {"write": write, "after": after, "killed": killed}
                )
            ):
                sys.exit(f"restarting after write {write} failed")
            if not killed:
                break
