"""The journal of an endpoint, and names on Vertex AI."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.domain.endpoints import TrafficReason
from cloudmlops.domain.names import name_faults
from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.ports.clock import SystemClock
from cloudmlops.providers.deployment_journal import ActState, Change, Journal, Record, split_change
from cloudmlops.providers.vertex.mapping import endpoints as mapping
from cloudmlops.storage.local import LocalStore

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True)
ENDPOINT_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "objects", durable=False)


def journal(store: LocalStore) -> Journal:
    return Journal(store, SystemClock())


def act(deployed_as: str) -> Change:
    known = {
        "deployed_as": deployed_as,
        "name": deployed_as,
        "model": "m",
        "version": "1",
        "native_model": "n",
        "deployed_id": mapping.deployed_id(deployed_as),
        "replicas": [1, 2],
        "machine": "n1-standard-2",
        "actor": "ada",
    }
    return {"kind": "begun", "act": known}


def split(traffic: dict[str, int]) -> Change:
    return split_change("traffic", traffic, TrafficReason.SHIFTED, "ada")


def test_of_processes_that_write_at_once_each_decides_on_what_the_others_wrote(store: LocalStore) -> None:
    def add(number: int) -> int:
        decided = []

        def decide(record: Record) -> Change | None:
            decided.append(len(record.acts))
            return act(f"a{number}")

        journal(store).append("scaling", decide)
        return decided[-1]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(add, range(24)))

    assert sorted(seen) == list(range(24))
    assert set(journal(store).read("scaling").acts) == {f"a{number}" for number in range(24)}


def test_a_record_tells_what_became_of_each_act(store: LocalStore) -> None:
    kept = journal(store)
    kept.append("scaling", lambda _: act("a"))
    kept.append("scaling", lambda _: {"kind": "operation", "deployed_as": "a", "operation": "o"})
    kept.append(
        "scaling", lambda _: split_change("deployed", {"a": 100}, TrafficReason.DEPLOYED, "ada", deployed_as="a")
    )
    kept.append("scaling", lambda _: {"kind": "announced", "deployed_as": "a"})
    kept.append("scaling", lambda _: act("b"))
    kept.append("scaling", lambda _: {"kind": "failed", "deployed_as": "b", "failure": "no"})
    kept.append("scaling", lambda _: split({"a": 100}))
    assert kept.append("scaling", lambda _: None) == journal(store).read("scaling")

    record = journal(store).read("scaling")

    first, second = record.acts["a"], record.acts["b"]
    assert (first.state, first.operation, first.announced, first.replicas) == (ActState.DEPLOYED, "o", True, (1, 2))
    assert (second.state, second.failure) == (ActState.FAILED, "no")
    assert [change["traffic"] for change in record.history] == [{"a": 100}]  # the same split again is no change
    assert (record.live(), record.begun(), record.served) == ([first], [], True)
    kept.append("scaling", lambda _: {"kind": "deleted"})
    assert journal(store).read("scaling") == Record(number=8)


def test_journals_of_endpoints_do_not_mix(store: LocalStore) -> None:
    kept = journal(store)
    for endpoint in ("a", "a-b", "ab"):
        kept.append(endpoint, lambda _: act("x"))

    assert {endpoint: kept.read(endpoint).number for endpoint in ("a", "a-b", "ab", "c")} == {
        "a": 1,
        "a-b": 1,
        "ab": 1,
        "c": 0,
    }


def test_a_damaged_entry_is_named(store: LocalStore) -> None:
    store.put("endpoints/scaling/000000000001.json", b"{")

    with pytest.raises(UnexpectedReplyError, match=r"endpoints/scaling/000000000001\.json"):
        journal(store).read("scaling")


@given(name=NAMES)
def test_every_name_has_an_id_that_vertex_ai_takes(name: str) -> None:
    assert name_faults("endpoint", name) == []
    assert ENDPOINT_ID.fullmatch(mapping.endpoint_id(name))


@given(names=st.sets(NAMES, max_size=30) | st.sets(st.from_regex(r"a[_-]{1,5}b?(-x[0-9a-f]{8})?", fullmatch=True)))
def test_names_share_no_id(names: set[str]) -> None:

    assert len({mapping.endpoint_id(name) for name in names}) == len(names)


@given(deployed_as=st.text(max_size=40))
def test_an_act_has_one_id_of_ten_digits_at_most(deployed_as: str) -> None:
    assert re.fullmatch(r"[1-9][0-9]{0,9}", mapping.deployed_id(deployed_as))
    assert mapping.deployed_id(deployed_as) == mapping.deployed_id(deployed_as)
