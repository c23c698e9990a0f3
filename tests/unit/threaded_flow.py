"""A module that starts a thread when it is imported, and needs it: a forked child would have none to answer."""

import queue
import threading

import cloudmlops as cm

questions: queue.Queue[queue.Queue[str]] = queue.Queue()


def serve() -> None:
    while True:
        questions.get().put("answered")


threading.Thread(target=serve, daemon=True).start()


@cm.step
def ask() -> str:
    answer: queue.Queue[str] = queue.Queue()
    questions.put(answer)
    return answer.get(timeout=60)


@cm.step
def both(first: str, second: str) -> list[str]:
    return [first, second]


@cm.pipeline
def asking() -> list[str]:
    return both(ask(), ask.with_options(cache=False)())


@cm.step
def length(text: str) -> int:
    return len(text)


@cm.pipeline
def measuring(text: str) -> int:
    return length(text)
