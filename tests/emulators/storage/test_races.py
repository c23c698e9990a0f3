"""Who is first wins, once; and what was answered by silence is found again."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import UnavailableError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.storage.opening import open_store

from .conftest import BUCKET, Served


@pytest.fixture
def store(served: Served) -> ObjectStore:
    return open_store(f"gs://{BUCKET}/prefix", endpoint=served.url, anonymous=True)


def test_of_eight_who_create_the_same_two_hundred_objects_each_has_one_winner(store: ObjectStore) -> None:
    wins: list[tuple[int, int]] = []
    together = Barrier(8)

    def create(writer: int) -> None:
        together.wait()
        wins.extend((number, writer) for number in range(200) if store.create(f"{number}", f"{writer}".encode()))

    threads = [Thread(target=create, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(number for number, _ in wins) == list(range(200))
    assert all(store.get(f"{number}") == f"{writer}".encode() for number, writer in wins)


def test_a_creation_whose_answer_was_lost_was_made_once(served: Served, store: ObjectStore) -> None:
    served.emulator.faults.set(Fault(matching="storage/objects.insert", lose_response=True))

    try:
        made = store.create("a", b"mine")
    except UnavailableError:
        made = False

    assert not made
    assert store.get("a") == b"mine"
    assert not store.create("a", b"second")


def test_a_write_is_tried_again_while_the_service_is_away(served: Served, store: ObjectStore) -> None:
    away = Refused("UNAVAILABLE", "Service Unavailable")
    served.emulator.faults.set(Fault(matching="storage/objects.*", times=2, refused=away))

    store.put("a", b"1")

    assert store.get("a") == b"1"
    assert [call.status for call in served.emulator.calls.list("objects.insert")] == [
        "UNAVAILABLE",
        "UNAVAILABLE",
        "OK",
    ]


def test_another_writer_at_the_last_moment_wins(served: Served, store: ObjectStore) -> None:
    def overtake() -> None:
        served.objects.write(BUCKET, "prefix/a", b"faster")

    served.emulator.faults.set(Fault(matching="storage/objects.insert", before=overtake))

    assert not store.create("a", b"slower")
    assert store.get("a") == b"faster"


def test_writers_and_removers_of_one_object_leave_it_readable_and_no_bytes_behind(
    served: Served, store: ObjectStore
) -> None:
    """Readers see whole contents only, whatever is done to the object meanwhile."""
    seen: set[bytes] = set()
    contents = {bytes([letter]) * 300_000 for letter in b"abc"}

    def write(content: bytes) -> None:
        for _ in range(10):
            store.put("a", content)

    def read() -> None:
        seen.update(store.get("a") for _ in range(20))

    store.put("a", min(contents))
    threads = [
        *[Thread(target=write, args=(content,)) for content in contents],
        *[Thread(target=read) for _ in range(3)],
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen <= contents
    assert len(list((served.emulator.state.folder / "storage" / "content").iterdir())) == 1
