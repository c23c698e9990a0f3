"""A process that handles events until it is idle, for tests to kill: `event_worker.py TARGET NOTES [HOW]`.

Each handling appends a line to NOTES at its beginning and at its end. HOW is `until-killed`, or `together`: then no
handling ends before another worker has begun one.
"""

import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloudmlops import DriftDetected, EventContext, Platform, RunCompleted, UnknownEvent, connect

NOTES = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(*words: object) -> None:
    os.write(NOTES, (" ".join(map(str, words)) + "\n").encode())


def wait_for_another_worker() -> None:
    while len({line.split()[-1] for line in Path(sys.argv[2]).read_text().splitlines()}) < 2:
        time.sleep(0.001)


def register(platform: Platform) -> None:
    @platform.events.on(DriftDetected, handler="report")
    def report(event: DriftDetected, ctx: EventContext) -> None:
        note("begin", "report", event.metric, ctx.attempt, os.getpid())
        if sys.argv[3:] == ["together"]:
            wait_for_another_worker()
        # Time and id differ in each attempt: without the platform's keys a second attempt would publish a second event.
        platform.events.publish(
            UnknownEvent(
                platform=platform.target,
                time=datetime.now(UTC),
                type="report",
                source="report",
                id=os.urandom(8).hex(),
                data={"of": event.metric},
            )
        )
        note("end", "report", event.metric, ctx.attempt, os.getpid())

    @platform.events.on(RunCompleted, handler="fails", retries=1, backoff=timedelta(0))
    def fails(event: RunCompleted, ctx: EventContext) -> None:
        note("begin", "fails", event.run, ctx.attempt, os.getpid())
        raise ValueError(event.run)


if __name__ == "__main__":
    with connect(sys.argv[1]) as platform:
        register(platform)
        print("ready", flush=True)
        if sys.argv[3:] == ["until-killed"]:
            platform.events.run(threading.Event())
        else:
            sys.stdin.readline()
            print(platform.events.process(), flush=True)
