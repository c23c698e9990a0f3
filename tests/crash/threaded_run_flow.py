"""The steps that leave daemons, in a module whose thread has each of them run in an interpreter of its own."""

import threading

from tests.crash import run_flow

import cloudmlops as cm

threading.Thread(target=threading.Event().wait, daemon=True).start()


@cm.step(cache=False)
def haunting(folder: str, release: str) -> int:
    return run_flow.haunting(folder, release)


@cm.pipeline
def haunted(folder: str, release: str) -> int:
    return haunting(folder, release)
