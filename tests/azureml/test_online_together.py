"""Several processes write the same keys, are killed, lose answers and connections: it is as if nothing had been."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from redis import Redis as Client

from cloudmlops import FeatureView
from cloudmlops.domain.features import view_to_json
from cloudmlops.domain.point_in_time import FeatureRow, reduced
from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.errors import UnavailableError
from cloudmlops.providers.azureml.feature_store.online import OnlineStore
from cloudmlops.providers.azureml.feature_store.online_keys import ViewKeys, platform_id
from cloudmlops.providers.azureml.settings import AzureMLSettings

from .online_rows import HERE, HOUR, START, row, store_at, table_of, view_of, written

Rows = list[tuple[Any, FeatureRow]]
WRITER = Path(__file__).with_name("online_writer.py")
KEYS = 1700
KILLED_AFTER = [1200, *(pytest.param(key, marks=pytest.mark.conformance) for key in range(70, KEYS, 100))]


class Writer:
    """A process that writes."""

    def __init__(self, running: ExitStack) -> None:
        self.process = running.enter_context(
            subprocess.Popen([sys.executable, str(WRITER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        running.callback(self.process.send_signal, signal.SIGKILL)

    def told(self) -> str:
        """Return the next line that it says; none when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def write(self, redis: Redis, view: FeatureView, rows: Rows, folder: Path, instead: str = "") -> None:
        """Let it write rows; it goes on while we do."""
        described, data = (folder / f"{self.process.pid}.{kind}" for kind in ("json", "arrow"))
        described.write_text(view_to_json(view))
        table = table_of(view, rows)
        with pa.OSFile(str(data), "wb") as file, pa.ipc.new_file(file, table.schema) as written_to:
            written_to.write_table(table)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{redis.url} {described} {data} {instead}\n")
        self.process.stdin.flush()


@pytest.fixture(scope="session")
def writers() -> Iterator[list[Writer]]:
    with ExitStack() as running:
        started = [Writer(running) for _ in range(2)]
        assert [one.told() for one in started] == ["ready"] * 2
        yield started


@pytest.fixture
def writer() -> Iterator[Writer]:
    """One that may be killed."""
    with ExitStack() as running:
        started = Writer(running)
        assert started.told() == "ready"
        yield started


@pytest.fixture
def store(redis: Redis) -> Iterator[OnlineStore]:
    opened = store_at(redis.url)
    yield opened
    opened.close()


@pytest.fixture
def client(redis: Redis) -> Iterator[Client]:
    with Client.from_url(redis.url, protocol=2) as opened:
        yield opened


def layout_of(view: FeatureView) -> ViewKeys:
    return ViewKeys(platform_id(AzureMLSettings.from_target(HERE)), view)


def generations(client: Client, view: FeatureView) -> set[int | None]:
    layout = layout_of(view)
    found: Any = client.scan_iter(match=layout.root + b"*", count=1000)
    return {layout.generation_of(key) for key in found} - {None}


@pytest.mark.parametrize("nulls", ["row", "last_value"])
def test_of_all_that_processes_write_at_once_the_greatest_stays(
    redis: Redis, store: OnlineStore, writers: list[Writer], tmp_path: Path, nulls: str
) -> None:
    view = view_of({"number": float, "text": str}, keys={"id": int}, nulls=nulls, created=True)
    chance = random.Random(5)
    rows = [
        (
            key,
            row(
                START + timedelta(microseconds=chance.randrange(3)),
                chance.choice([None, 1.0, 2.0, float("nan")]),
                chance.choice([None, "a", "b"]),
                created=chance.choice([None, START, START + HOUR]),
            ),
        )
        for key in range(40)
        for _ in range(25)
    ]
    for writer in writers:
        chance.shuffle(rows)
        writer.write(redis, view, rows, tmp_path)
    assert [writer.told() for writer in writers] == ["written"] * 2

    found = store.reader(view)(list(range(40)))
    assert repr(found) == repr([reduced(view, [one for other, one in rows if other == key]) for key in range(40)])


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("after", KILLED_AFTER)
def test_a_killed_write_that_is_repeated_is_as_if_never_killed(
    redis: Redis, store: OnlineStore, writer: Writer, tmp_path: Path, after: int
) -> None:
    view = view_of({"number": int}, keys={"id": int})
    rows = [(key, row(START, key)) for key in range(KEYS)]
    reader = store.reader(view)
    writer.write(redis, view, rows, tmp_path)
    while not reader([after])[0]:
        time.sleep(0.002)
    writer.process.kill()
    writer.process.wait()
    left = reader(list(range(KEYS)))
    assert all(found in ([], (), [one]) for found, (_, one) in zip(left, rows, strict=True)), "what is there is whole"

    written(store, view, *rows)

    assert reader(list(range(KEYS))) == [[one] for _, one in rows]


@pytest.mark.conformance(ci=True)
def test_readers_see_the_former_rows_until_a_rebuild_is_whole_though_one_was_killed(
    redis: Redis, store: OnlineStore, client: Client, writer: Writer, tmp_path: Path
) -> None:
    view = view_of({"number": int}, keys={"id": int})
    former = [(key, row(START + HOUR, -1)) for key in range(0, KEYS, 2)]
    rows = [(key, row(START, key)) for key in range(KEYS)]
    written(store, view, *former)
    before = store.reader(view)(list(range(KEYS)))
    writer.write(redis, view, rows, tmp_path, "instead")
    layout = layout_of(view)
    begun = layout.rows(1) + (layout.entity(0) or b"")
    while not client.exists(begun):
        time.sleep(0.002)
    writer.process.kill()
    writer.process.wait()
    if generations(client, view) != {1}:  # else it was quicker than the kill
        assert store.reader(view)(list(range(KEYS))) == before

    written(store, view, *rows, instead=True)

    assert store.reader(view)(list(range(KEYS))) == [[one] for _, one in rows]
    assert len(generations(client, view)) == 1, "what killed attempts wrote is removed"


@pytest.mark.conformance(ci=True)
def test_what_is_written_while_a_rebuild_comes_to_its_end_is_there_afterwards(redis: Redis, client: Client) -> None:
    view = view_of({"number": int}, keys={"id": int})
    rebuilt = [(key, row(START, 0)) for key in range(500)]
    store, other = store_at(redis.url), store_at(redis.url)
    with ThreadPoolExecutor(1) as pool:
        for turn in range(3):
            rebuilding = pool.submit(written, other, view, *rebuilt, instead=True)
            number = 0
            while not rebuilding.done():
                number += 1
                written(store, view, *((key, row(START + HOUR, turn * 10_000 + number)) for key in range(100, 110)))
            rebuilding.result()
            written(store, view, *((key, row(START + 2 * HOUR, turn)) for key in range(110, 120)))

            found = store.reader(view)(list(range(500)))
            assert len(generations(client, view)) == 1, "nothing stays where nobody looks"
            assert [rows[0].values for rows in found[110:120]] == [(turn,)] * 10
            assert all(rows[0].values == (0,) for rows in (*found[:100], *found[120:]))
    store.close()
    other.close()


@pytest.mark.conformance(ci=True)
def test_an_answer_is_of_one_rebuild_however_many_keys_are_asked_for(redis: Redis) -> None:
    view = view_of({"number": int}, keys={"id": int})
    store, other = store_at(redis.url), store_at(redis.url)
    reader = store.reader(view)
    written(other, view, *((key, row(START, 0)) for key in range(1100)), instead=True)
    with ThreadPoolExecutor(1) as pool:
        for turn in range(1, 2):
            rebuilding = pool.submit(
                written, other, view, *((key, row(START, turn)) for key in range(1100)), instead=True
            )
            while not rebuilding.done():
                found = {rows[0].values if rows else None for rows in reader(list(range(1100)))}
                assert found in ({(turn - 1,)}, {(turn,)})
            rebuilding.result()
    store.close()
    other.close()


@pytest.mark.conformance(ci=True)
def test_of_two_rebuilds_the_one_that_was_begun_later_is_served(redis: Redis, client: Client) -> None:
    view = view_of({"number": int}, keys={"id": int})
    with ThreadPoolExecutor(4) as pool:
        stores = [store_at(redis.url) for _ in range(4)]
        jobs = [
            pool.submit(written, store, view, *((key, row(START, number)) for key in range(1200)), instead=True)
            for number, store in enumerate(stores)
        ]
        for job in jobs:
            job.result()
    found = {rows[0].values for rows in stores[0].reader(view)(list(range(1200)))}
    assert len(found) == 1, "one whole rebuild, never a mixture"
    assert generations(client, view) == {4}
    for store in stores:
        store.close()


def test_a_lost_answer_and_a_lost_connection_are_not_noticed(redis: Redis, store: OnlineStore) -> None:
    view = view_of({"number": int})
    written(store, view, ("a", row(START, 1)))
    redis.door.lose_answers(1)
    written(store, view, ("a", row(START + HOUR, 2)), ("b", row(START, 1)))
    redis.door.lose_answers(1)
    assert store.reader(view)(["a", "b"]) == [[row(START + HOUR, 2)], [row(START, 1)]]
    redis.door.lose_answers(1)
    written(store, view, ("c", row(START, 3)), instead=True)
    redis.door.drop()
    assert store.reader(view)(["a", "c"]) == [(), [row(START, 3)]]


def test_scripts_that_redis_has_forgotten_are_told_again(store: OnlineStore, client: Client) -> None:
    view = view_of({"number": int})
    rows = table_of(view, [("a", row(START, 1))])

    def tables() -> Iterator[Any]:
        yield rows
        client.script_flush()
        yield table_of(view, [("b", row(START, 2))])

    store.write(view, tables())

    assert store.reader(view)(["a", "b"]) == [[row(START, 1)], [row(START, 2)]]


def test_a_redis_that_is_not_there_is_told_in_the_time_of_a_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = store_at(f"redis://127.0.0.1:{port}", timeout=0.5)

    with pytest.raises(UnavailableError, match="'view-") as caught:
        store.reader(view_of({"number": int}))(["a"])
    assert caught.value.retryable


def test_a_redis_that_says_nothing_is_told_in_the_time_of_a_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = store_at(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)

        with pytest.raises(UnavailableError):
            store.reader(view_of({"number": int}))(["a"])
