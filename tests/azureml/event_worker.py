"""A process that is killed in the middle of its handler: `event_worker.py TARGET`."""

import os
import signal
import sys

from cloudmlops import EventContext, ModelRegistered, Stage, connect
from cloudmlops.domain.events import DriftDetected

with connect(sys.argv[1]) as platform:

    @platform.events.on(ModelRegistered, handler="validate")
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="validated")
        ctx.platform.events.publish(
            DriftDetected(
                platform=event.platform, time=event.time, subject="s", metric="psi", value=ctx.attempt, threshold=0.2
            )
        )
        os.kill(os.getpid(), signal.SIGKILL)

    platform.events.process()
