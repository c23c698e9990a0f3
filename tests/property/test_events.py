"""An event's key is its meaning, and the way over the wire changes nothing."""

import json
from datetime import UTC, datetime, timedelta, timezone
from string import ascii_letters
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudmlops import (
    DriftDetected,
    Event,
    ModelDeployed,
    ModelRegistered,
    RunCompleted,
    RunFailed,
    Stage,
    StageChanged,
    UnknownEvent,
)
from cloudmlops.ports.events import PushRequest
from cloudmlops.services.delivery.envelopes import from_json, to_envelope, to_event, to_json
from cloudmlops.services.delivery.receiving import parse

text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
optional = st.one_of(st.none(), text)
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 zones are given
stages = st.sampled_from(Stage)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**53)
names = st.text(ascii_letters, min_size=1, max_size=8)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
extensions = st.dictionaries(
    names.map(str.lower).filter(
        lambda name: name not in {"id", "source", "type", "time", "subject", "specversion", "data", "dataschema"}
    ),
    names,
    max_size=2,
)


def unknown(**fields: Any) -> UnknownEvent:
    return UnknownEvent(platform=fields["source"], **fields)


known = st.one_of(
    st.builds(ModelRegistered, platform=text, time=times, model=text, version=text, run=optional),
    st.builds(
        StageChanged,
        platform=text,
        time=times,
        model=text,
        sequence=counts,
        changes=st.lists(st.tuples(text, stages, stages), max_size=3).map(tuple),
        actor=text,
        reason=st.text(st.characters(codec="utf-8"), max_size=12),
    ),
    st.builds(RunCompleted, platform=text, time=times, pipeline=text, run=text),
    st.builds(RunFailed, platform=text, time=times, pipeline=text, run=text, step=text, error=text, attempt=counts),
    st.builds(
        ModelDeployed,
        platform=text,
        time=times,
        model=text,
        version=text,
        endpoint=text,
        deployment=text,
        deployed_as=text,
    ),
    st.builds(DriftDetected, platform=text, time=times, subject=text, metric=text, value=numbers, threshold=numbers),
)
events = known | st.builds(
    unknown,
    time=times,
    type=text.filter(lambda type_: not type_.startswith("cloudmlops.")),
    source=text,
    id=text,
    data=st.dictionaries(text, json_values, max_size=3),
    extensions=extensions,
)


@given(events)
def test_an_event_survives_storing(event: Event) -> None:
    stored = json.dumps(to_json(to_envelope(event)))

    assert to_event(from_json(json.loads(stored))) == event


@given(events)
def test_an_event_survives_the_cloudevents_library(event: Event) -> None:
    body = json.dumps(to_json(to_envelope(event))).encode()
    request = PushRequest(method="POST", headers={"content-type": "application/cloudevents+json"}, query="", body=body)

    (received,) = parse(request, now=datetime(2026, 1, 1, tzinfo=UTC))

    assert to_event(received) == event
    assert to_event(received).key == event.key


@given(known, st.randoms(use_true_random=False))
def test_the_letter_case_of_a_payload_does_not_matter(event: Event, chance: Any) -> None:
    written = to_json(to_envelope(event))
    data = written["data"]
    assert isinstance(data, dict)
    written["data"] = {
        "".join(chance.choice((c.lower(), c.upper())) for c in name): value for name, value in data.items()
    }

    assert to_event(from_json(written)) == event


@given(st.lists(known, min_size=2, max_size=2))
def test_keys_are_equal_exactly_when_kind_platform_and_meaning_are(pair: list[Event]) -> None:
    one, two = pair
    same = (one.kind, one.platform, one.meaning) == (two.kind, two.platform, two.meaning)

    assert (one.key == two.key) == same


@given(text, text, text, text)
def test_parts_that_concatenate_alike_have_different_keys(a: str, b: str, c: str, d: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    one = ModelRegistered(platform="p", time=now, model=a + b, version=c + d)
    two = ModelRegistered(platform="p", time=now, model=a, version=b + c + d)

    assert one.key != two.key


@given(
    model=text,
    version=st.integers(0, 10**9),
    time=times,
    zone=st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)
def test_first_and_last_copies_with_number_or_text_versions_are_one_event(
    model: str, version: int, time: datetime, zone: timezone
) -> None:
    def delivered(data: dict[str, object], at: datetime) -> Event:
        written = to_json(to_envelope(ModelRegistered(platform="p", time=at, model="m", version="1")))
        return to_event(from_json({**written, "data": data}))

    first = delivered({"ModelName": model, "model": model, "version": version}, time)
    last = delivered(
        {"Model": model, "Version": str(version), "run": "r"}, (time + timedelta(hours=1)).astimezone(zone)
    )

    assert first.key == last.key
