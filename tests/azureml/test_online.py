"""Rows online in Redis: exact values, typed keys, the greater row stays, ttl at reading; on server and substitute."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from redis import Redis as Client

from cloudmlops.domain.point_in_time import FeatureStatus, FeatureValue, rank
from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.errors import ConfigurationError, InvalidEntitiesError, ServiceError
from cloudmlops.providers.azureml.feature_store.online import OnlineStore
from cloudmlops.providers.azureml.feature_store.online_keys import ViewKeys, platform_id
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.providers.azureml.wire import Wire

from .online_rows import HERE, HOUR, START, read, row, store_at, view_of, written

EXACT: dict[str, tuple[Any, list[Any]]] = {
    "whole": (int, [0, -1, 2**63 - 1, -(2**63)]),
    "real": (float, [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]),
    "truth": (bool, [True, False]),
    "text": (str, ["", "é", "a\0b", "\U0001f600", "1:2", "\r\n"]),
    "raw": (bytes, [b"", b"\0", b"\xff\r\n", bytes(range(256))]),
    "day": (date, [date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)]),
    "moment": (datetime, [datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, tzinfo=UTC)]),
    "reals": (list[float], [[], [0.1, -0.0, None, math.inf]]),
    "texts": (list[str], [["", "é", None]]),
    "raws": (list[bytes], [[b"\0\xff", None]]),
    "days": (list[date], [[date(2026, 1, 1), None]]),
}


@pytest.fixture
def store(redis: Redis) -> Iterator[OnlineStore]:
    opened = store_at(redis.url)
    yield opened
    opened.close()


@pytest.fixture
def client(redis: Redis) -> Iterator[Client]:
    with Client.from_url(redis.url, protocol=2) as opened:
        yield opened


def bits(value: Any) -> Any:
    return struct.pack(">d", value) if isinstance(value, float) else repr(value)


@pytest.mark.parametrize("name", EXACT)
def test_values_come_back_to_the_last_bit(store: OnlineStore, name: str) -> None:
    kind, values = EXACT[name]
    view = view_of({"value": kind})
    written(store, view, *((str(number), row(START, value)) for number, value in enumerate(values)))

    for number, value in enumerate(values):
        (found,) = read(store, view, str(number), START)
        assert bits(found.value) == bits(value)
        assert (found.status, found.event_time) == (FeatureStatus.PRESENT, START)


def test_keys_that_concatenate_alike_are_different_entities(store: OnlineStore) -> None:
    view = view_of({"value": int}, keys={"one": str, "other": str})
    keys = [("1", "23"), ("12", "3"), ("", "123"), ("123", ""), ("1:s2:23", ""), ("1", "s2:23"), ("1\0", "23")]
    written(store, view, *((key, row(START, number)) for number, key in enumerate(keys)))

    found = store.reader(view)(keys)

    assert [rows[0].values for rows in found] == [(number,) for number in range(len(keys))]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (str, ["1", "True", "2026-01-01", "", "\0", "é"]),
        (int, [1, -1, 0, 2**63 - 1, -(2**63)]),
        (bool, [True, False]),
        (date, [date(2026, 1, 1), date(1, 1, 1)]),
        (bytes, [b"1", b"", b"\0", b"\xff", b":"]),
    ],
)
def test_keys_of_every_type_are_found_again(store: OnlineStore, kind: type[Any], keys: list[Any]) -> None:
    view = view_of({"value": int}, keys={"id": kind})
    written(store, view, *((key, row(START, number)) for number, key in enumerate(keys)))

    found = store.reader(view)(keys)

    assert [rows[0].values for rows in found] == [(number,) for number in range(len(keys))]


def test_keys_of_different_types_are_never_written_alike() -> None:
    layouts = {
        kind: ViewKeys("p", view_of({"value": int}, keys={"id": kind})) for kind in (str, int, bool, date, bytes)
    }
    alike: dict[type[Any], Any] = {str: "1", int: 1, bool: True, bytes: b"1", date: date(2026, 1, 1)}

    assert len({layouts[kind].entity(key) for kind, key in alike.items()}) == len(alike)
    assert layouts[date].entity(date(2026, 1, 1)) != layouts[str].entity("2026-01-01")


def test_nobody_is_found_under_a_key_with_a_null_part(store: OnlineStore) -> None:
    view = view_of({"value": int}, keys={"one": str, "other": int})
    written(store, view, (("a", None), row(START, 1)), ((None, 1), row(START, 2)), (("a", 1), row(START, 3)))

    found = store.reader(view)([("a", None), (None, 1), (None, None), ("a", 1)])

    assert [len(rows) for rows in found] == [0, 0, 0, 1]


def test_a_key_that_is_no_text_is_refused_before_anything_is_asked() -> None:
    view = view_of({"value": int})
    nowhere = store_at("redis://127.0.0.1:1")

    with pytest.raises(InvalidEntitiesError, match="no Unicode text"):
        nowhere.reader(view)(["\ud800"])


def test_what_is_unknown_is_missing_and_what_is_too_old_is_expired_though_redis_holds_it(store: OnlineStore) -> None:
    view = view_of({"value": int, "other": str}, ttl=HOUR)
    written(store, view, ("a", row(START, 1, None)))

    missing = FeatureValue(None, FeatureStatus.MISSING, None)
    assert read(store, view, "b", START) == (missing, missing)
    for at in (START, START + HOUR):  # inclusive
        assert read(store, view, "a", at) == (
            FeatureValue(1, FeatureStatus.PRESENT, START),
            FeatureValue(None, FeatureStatus.NULL, START),
        )
    expired = FeatureValue(None, FeatureStatus.EXPIRED, START)
    assert read(store, view, "a", START + HOUR + timedelta(microseconds=1)) == (expired, expired)
    assert store.reader(view)(["a"])[0], "Redis holds it still"


NEAR = [
    row(START, 1.0, "a", created=START),
    row(START + timedelta(microseconds=1), -math.inf, ""),
    row(START, None, None),
    row(START, None, "z", created=START),
    row(START, 2.0, None, created=START),
    row(START, 2.0, "b", created=START),
    row(START, 2.0, "ba", created=START),
    row(START, 2.0, "b\0", created=START),
    row(START, math.inf, "", created=START),
    row(START, math.nan, None, created=START),
    row(START, math.nan, "\U0001f600", created=START),
    row(START, math.nan, "￿", created=START),
    row(START, -1.0, "", created=START + HOUR),
    row(START - HOUR, math.nan, "zzz", created=START + 2 * HOUR),
    row(START, -5e-324, "", created=START),
    row(START, 5e-324, "", created=START),
]


@pytest.mark.parametrize("place", range(len(NEAR)))
def test_of_two_rows_the_greater_stays_in_whatever_order_they_come(store: OnlineStore, place: int) -> None:
    view = view_of({"number": float, "text": str}, created=True)
    for number, other in enumerate(NEAR):
        pair = [NEAR[place], other]
        for turn, order in enumerate(permutations(pair)):
            key = f"{number}/{turn}"
            for one in order:
                written(store, view, (key, one))
            expected = max(pair, key=lambda one: rank(view, one))
            assert repr(store.reader(view)([key])) == repr([[expected]])


def test_a_row_that_ranks_alike_does_not_displace_what_is_there(store: OnlineStore) -> None:
    view = view_of({"number": float, "items": list[str]})
    written(store, view, ("a", row(START, -0.0, ["first"])))
    written(store, view, ("a", row(START, 0.0, ["second", "longer"])))

    assert repr(store.reader(view)(["a"])) == repr([[row(START, -0.0, ["first"])]])


def test_the_last_value_of_each_feature_is_kept_with_its_own_time(store: OnlineStore) -> None:
    view = view_of({"number": float, "text": str, "items": list[int]}, nulls="last_value", ttl=HOUR)
    minute = timedelta(minutes=1)
    written(store, view, ("a", row(START + 2 * minute, None, None, None)))
    written(store, view, ("a", row(START, 1.0, "old", [1])), ("a", row(START + minute, None, "new", None)))
    written(store, view, ("a", row(START - minute, 0.0, "older", [0])))

    assert read(store, view, "a", START + HOUR + minute) == (
        FeatureValue(None, FeatureStatus.EXPIRED, START),
        FeatureValue("new", FeatureStatus.PRESENT, START + minute),
        FeatureValue(None, FeatureStatus.EXPIRED, START),
    )
    assert len(store.reader(view)(["a"])[0]) == 3, "what supplies nothing is not kept"


def test_of_rows_that_rank_alike_both_are_kept_if_each_has_a_list_that_the_other_lacks(store: OnlineStore) -> None:
    view = view_of({"number": int, "one": list[int], "other": list[int]}, nulls="last_value")
    written(store, view, ("a", row(START, 1, [1], None)))
    written(store, view, ("a", row(START, 1, None, [2])))

    assert [value.value for value in read(store, view, "a", START)] == [1, [1], [2]]


def test_many_rows_of_one_entity_may_come_at_once(store: OnlineStore) -> None:
    view = view_of({"value": int})
    rows = [("a", row(START + timedelta(seconds=(number * 7919) % 5000), number)) for number in range(5000)]
    written(store, view, *rows)

    assert store.reader(view)(["a"]) == [[max((one for _, one in rows), key=lambda one: one.ts)]]


def test_thousands_of_keys_are_read_in_their_order_with_repetitions(store: OnlineStore) -> None:
    view = view_of({"value": int}, keys={"id": int})
    written(store, view, *((number, row(START, number)) for number in range(2500)))
    asked = [*range(2499, -1, -1), 7, 7, 9999, None]

    found = store.reader(view)(asked)

    assert [rows[0].values[0] if rows else None for rows in found] == [*range(2499, -1, -1), 7, 7, None, None]


def test_writing_again_changes_nothing(store: OnlineStore, client: Client) -> None:
    view = view_of({"value": float, "text": str}, nulls="last_value")
    rows = [("a", row(START, 1.0, None)), ("a", row(START - HOUR, None, "x")), ("b", row(START, None, None))]
    written(store, view, *rows)
    before = dump(client, view)
    written(store, view, *reversed(rows))

    assert dump(client, view) == before


def dump(client: Client, view: Any, *, target: str = HERE) -> dict[bytes, dict[bytes, bytes]]:
    layout = ViewKeys(platform_id(AzureMLSettings.from_target(target)), view)
    found: Any = client.scan_iter(match=layout.root + b"*")
    stored: Any = {key: client.hgetall(key) for key in found if layout.generation_of(key) is not None}
    return stored


def test_workspaces_and_prefixes_do_not_see_each_others_rows(redis: Redis) -> None:
    view = view_of({"value": int})
    mine = store_at(redis.url)
    written(mine, view, ("a", row(START, 1)))

    other = store_at(redis.url, target=HERE.replace("online", "another"))
    assert other.reader(view)(["a"]) == [()]
    assert platform_id(AzureMLSettings.from_target(HERE)) != platform_id(
        AzureMLSettings.from_target(f"{HERE}?prefix=b")
    )
    again = store_at(redis.url, target=HERE.replace("experiments", "EXPERIMENTS"))
    assert again.reader(view)(["a"]) == mine.reader(view)(["a"]), "Azure's names are the same in capitals"


def test_a_view_of_another_layout_has_rows_of_its_own(store: OnlineStore) -> None:
    view = view_of({"value": int})
    written(store, view, ("a", row(START, 1)))

    assert store.reader(replace(view, features={"value": float}))(["a"]) == [()]
    assert store.reader(replace(view, ttl=HOUR))(["a"]) == store.reader(view)(["a"]) != [()]


def test_rebuilding_takes_the_place_of_all_that_was_stored_also_for_readers_that_were_there(
    store: OnlineStore, client: Client
) -> None:
    view = view_of({"value": int})
    written(store, view, ("gone", row(START, 1)), ("stays", row(START + HOUR, 1)))
    reader = store.reader(view)
    assert all(reader(["gone", "stays"]))

    written(store, view, ("stays", row(START, 2)), instead=True)

    assert reader(["gone", "stays"]) == [(), [row(START, 2)]]
    assert len(dump(client, view)) == 1, "what was replaced is removed"
    written(store, view, ("stays", row(START + HOUR, 3)))
    assert reader(["stays"]) == [[row(START + HOUR, 3)]]


def test_rebuilding_with_no_rows_leaves_none(store: OnlineStore, client: Client) -> None:
    view = view_of({"value": int})
    written(store, view, ("a", row(START, 1)))
    written(store, view, instead=True)

    assert store.reader(view)(["a"]) == [()]
    assert dump(client, view) == {}


def test_nothing_is_forgotten_unless_the_settings_say_so(store: OnlineStore, client: Client) -> None:
    view = view_of({"value": int}, ttl=HOUR)
    written(store, view, ("a", row(START, 1)))

    assert [client.pttl(key) for key in dump(client, view)] == [-1]


@pytest.mark.parametrize("nulls", ["row", "last_value"])
def test_redis_may_forget_a_row_after_its_ttl_and_the_time_beyond_it_and_never_before(
    redis: Redis, client: Client, nulls: str
) -> None:
    view = view_of({"value": int}, ttl=HOUR, nulls=nulls)
    store = store_at(redis.url, redis_forget_after=60)
    soon = datetime.now(UTC) + HOUR
    written(store, view, ("past", row(START - 1000 * HOUR, 1)), ("future", row(soon, 1)), ("future", row(START, 2)))

    left = {key.rpartition(b":")[2]: client.pttl(key) / 1000 for key in dump(client, view)}
    assert 3600 + 60 - 30 < left[b"past"] <= 3660.1, "counted from when it was written"
    assert 7200 + 60 - 30 < left[b"future"] <= 7260.1, "counted from the row's own time"
    written(store_at(redis.url), view, ("past", row(START - 2000 * HOUR, 1)))
    assert {client.pttl(key) for key in dump(client, view) if b"past" in key} == {-1}


def test_a_view_without_ttl_is_never_forgotten(redis: Redis, client: Client) -> None:
    view = view_of({"value": int})
    written(store_at(redis.url, redis_forget_after=0), view, ("a", row(START, 1)))

    assert [client.pttl(key) for key in dump(client, view)] == [-1]


def test_keys_are_as_they_are_documented(store: OnlineStore, client: Client) -> None:
    view = view_of({"value": int}, keys={"airport": str, "gate": int, "day": date, "open": bool, "raw": bytes})
    written(store, view, (("JFK", -7, date(2026, 1, 2), True, b"\xff"), row(START, 1)))

    (key,) = dump(client, view)
    platform, _, rest = key.removeprefix(b"cloudmlops:").partition(b":")
    name, digest, generation, entity = rest.split(b":", 3)
    assert (len(platform), len(digest), name, generation) == (16, 16, view.name.encode(), b"0")
    assert entity == b"s3:JFK:i2:-7:d10:2026-01-02:b1:1:y1:\xff"


def test_settings_without_redis_are_told_at_first_use_and_not_before() -> None:
    store = OnlineStore(Wire(AzureMLSettings.from_target(f"{HERE}?redis_url=none")))
    view = view_of({"value": int})
    reader = store.reader(view)

    with pytest.raises(ConfigurationError, match="redis_url"):
        reader(["a"])


def test_a_key_that_holds_something_else_is_an_error_and_not_overwritten(store: OnlineStore, client: Client) -> None:
    view = view_of({"value": int})
    written(store, view, ("a", row(START, 1)))
    (key,) = dump(client, view)
    client.set(key, "mine")

    with pytest.raises(ServiceError, match="WRONGTYPE") as caught:
        store.reader(view)(["a"])
    with pytest.raises(ServiceError, match="WRONGTYPE"):
        written(store, view, ("a", row(START + HOUR, 1)))
    assert caught.value.operation == "features.online"
    assert client.get(key) == b"mine"
