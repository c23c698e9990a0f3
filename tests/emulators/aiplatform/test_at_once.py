"""What several ask of Vertex AI at once is decided for one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.cloud import GoogleCloud

MANY = 4
ROUNDS = 20
TIMES = 5
Act = Callable[[], httpx.Response]
CANCELLED = 1
SUCCEEDED = 4


@pytest.fixture(autouse=True)
def others_have_their_turn_often() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def http(vertex_emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{vertex_emulator.url}/v1", trust_env=False, timeout=60) as client:
        yield client


def at_once(*acts: Act) -> list[httpx.Response]:
    begin = Barrier(len(acts))

    def act(one: Act) -> httpx.Response:
        begin.wait()
        return one()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(act, acts))


def again(act: Act) -> Act:
    """Return what does something several times, one after the other, and tells of the last time."""
    return lambda: [act() for _ in range(TIMES)][-1]


def statuses(replies: Sequence[httpx.Response]) -> list[int]:
    return sorted(reply.status_code for reply in replies)


def numbered(emulator: Emulator, parent: str) -> str:
    """Write a place as names are kept: with the project's number."""
    _, project, *rest = parent.split("/")
    return "/".join(["projects", emulator.cloud(GoogleCloud).vertex.projects.number(project), *rest])


@pytest.mark.parametrize(
    ("collection", "kind"),
    [
        ("models", "Model"),
        ("pipelineJobs", "PipelineJob"),
        ("customJobs", "CustomJob"),
        ("hyperparameterTuningJobs", "HyperparameterTuningJob"),
        ("batchPredictionJobs", "BatchPredictionJob"),
        ("schedules", "Schedule"),
    ],
)
def test_what_many_remove_at_once_is_removed_by_one(
    http: httpx.Client, vertex_emulator: Emulator, parent: str, collection: str, kind: str
) -> None:
    vertex, place = vertex_emulator.cloud(GoogleCloud).vertex, numbered(vertex_emulator, parent)
    for number in range(ROUNDS):
        name = f"{place}/{collection}/{1000 + number}"
        made: Any = message(kind)()
        if "Job" in kind:
            made.state = SUCCEEDED
        vertex.resources.create(name, made)
        assert statuses(at_once(*[partial(http.delete, f"/{name}")] * MANY)) == [200] + [404] * (MANY - 1)


def test_changes_of_an_online_store_that_are_made_at_once_all_stay(http: httpx.Client, parent: str) -> None:
    scaling = {"minNodeCount": 1, "maxNodeCount": 2, "cpuUtilizationTarget": 50}
    store = f"/{parent}/featureOnlineStores"
    given = {"bigtable": {"autoScaling": scaling}}
    http.post(store, params={"featureOnlineStoreId": "one"}, json=given).raise_for_status()
    for number in range(ROUNDS):
        labels = partial(
            http.patch, f"{store}/one", params={"updateMask": "labels"}, json={"labels": {"turn": str(number)}}
        )
        most = {"bigtable": {"autoScaling": {"maxNodeCount": 3 + number % 5}}}
        nodes = partial(
            http.patch, f"{store}/one", params={"updateMask": "bigtable.autoScaling.maxNodeCount"}, json=most
        )
        assert statuses(at_once(labels, nodes)) == [200, 200]
        shown = http.get(f"{store}/one").json()
        assert shown["labels"] == {"turn": str(number)}
        assert shown["bigtable"]["autoScaling"]["maxNodeCount"] == 3 + number % 5


def test_an_online_store_that_is_removed_while_it_is_changed_is_gone(http: httpx.Client, parent: str) -> None:
    given = {"bigtable": {"autoScaling": {"minNodeCount": 1, "maxNodeCount": 2}}}
    for number in range(ROUNDS):
        store = f"/{parent}/featureOnlineStores"
        http.post(store, params={"featureOnlineStoreId": f"s{number}"}, json=given).raise_for_status()
        change = partial(http.patch, f"{store}/s{number}", params={"updateMask": "labels"}, json={"labels": {"a": "b"}})
        at_once(*[again(change)] * MANY, partial(http.delete, f"{store}/s{number}"))
        assert http.get(f"{store}/s{number}").status_code == 404


def test_nothing_lies_in_a_group_that_was_removed_while_features_were_made_in_it(
    http: httpx.Client, vertex_emulator: Emulator, parent: str
) -> None:
    resources, place = vertex_emulator.cloud(GoogleCloud).vertex.resources, numbered(vertex_emulator, parent)
    given = {"bigQuery": {"bigQuerySource": {"inputUri": "bq://p.d.t"}}}
    for number in range(ROUNDS):
        group = f"/{parent}/featureGroups"
        http.post(group, params={"featureGroupId": f"g{number}"}, json=given).raise_for_status()
        path = f"{group}/g{number}"
        feature = partial(http.post, f"{path}/features", json={})
        features = [partial(feature, params={"featureId": f"f{n}"}) for n in range(3 * MANY)]
        at_once(*features, partial(http.delete, path, params={"force": "true"}))
        assert [one for one in resources.within(f"{place}/featureGroups/g{number}") if "/features/" in one] == []


def test_an_operation_that_is_cancelled_as_it_ends_stays_as_it_was_seen(
    http: httpx.Client, vertex_emulator: Emulator, parent: str
) -> None:
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    vertex_emulator.clock.freeze()
    operations.takes = timedelta(minutes=1)
    try:
        for number in range(ROUNDS):
            given = {"model": {"displayName": "m"}, "modelId": f"m{number}"}
            name = http.post(f"/{parent}/models:upload", json=given).raise_for_status().json()["name"]

            def cancel(name: str = name) -> httpx.Response:
                http.post(f"/{name}:cancel", json={})
                return http.get(f"/{name}")

            def end(name: str = name) -> httpx.Response:
                vertex_emulator.clock.advance(timedelta(minutes=1))
                return http.get(f"/{name}")

            seen = [one.json() for one in at_once(cancel, end)]
            kept = http.get(f"/{name}").json()
            assert [one for one in seen if one.get("done") and one != kept] == []
            there = http.get(f"/{parent}/models/m{number}").status_code == 200
            assert there is (kept.get("error", {}).get("code") != CANCELLED)
    finally:
        operations.takes = timedelta(0)
        vertex_emulator.clock.reset()
