"""Events as CloudEvents and back."""

from datetime import UTC, datetime

import pytest

from cloudmlops import DriftDetected, ModelRegistered, RunFailed, Stage, StageChanged, UnknownEvent
from cloudmlops.domain.events import Envelope
from cloudmlops.errors import InvalidRequestError
from cloudmlops.services.delivery.envelopes import from_json, to_envelope, to_event, to_json

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def envelope(type_: str, data: dict[str, object]) -> Envelope:
    return Envelope(id="1", source="local:///p", type=type_, time=NOON, data=data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"model": "churn", "version": "20"}, id="as we write it"),
        pytest.param({"Model": "churn", "VERSION": 20}, id="capitals and a number"),
        pytest.param({"mOdEl": "churn", "version": "20", "run": None, "extra": [1]}, id="more than needed"),
    ],
)
def test_letter_case_and_number_versions_do_not_matter(data: dict[str, object]) -> None:
    assert to_event(envelope(ModelRegistered.kind, data)) == ModelRegistered(
        platform="local:///p", time=NOON, model="churn", version="20"
    )


def test_underscores_and_stage_names_are_read_in_any_case() -> None:
    data = {
        "Model": "m",
        "Sequence": "7",
        "Actor": "ann",
        "Changes": [{"Version": 3, "FROM": "None", "to": "Candidate"}],
    }

    event = to_event(envelope(StageChanged.kind, data))

    assert isinstance(event, StageChanged)
    assert event.changes == (("3", Stage.NONE, Stage.CANDIDATE),)
    assert event.sequence == 7


def test_all_faults_of_a_payload_are_told_at_once() -> None:
    data: dict[str, object] = {
        "model": True,
        "sequence": "many",
        "changes": [{"version": "1", "from": "none", "to": "moon"}],
    }

    with pytest.raises(InvalidRequestError) as caught:
        to_event(envelope(StageChanged.kind, data))

    assert caught.value.faults == (
        "model must be text, not True",
        "sequence must be an integer, not 'many'",
        "changes[0].to must be one of none, candidate, staging, production, archived, not 'moon'",
        "actor is missing",
    )


def test_a_drift_without_numbers_is_malformed() -> None:
    with pytest.raises(InvalidRequestError, match="value must be a number, not 'high'"):
        to_event(envelope(DriftDetected.kind, {"subject": "s", "metric": "m", "value": "high", "threshold": 1}))


def test_a_failed_run_needs_little_to_be_understood() -> None:
    event = to_event(envelope(RunFailed.kind, {"pipeline": "p", "run": "r"}))

    assert event == RunFailed(platform="local:///p", time=NOON, pipeline="p", run="r", step="", error="", attempt=1)


def test_a_type_that_is_not_ours_is_an_unknown_event() -> None:
    event = to_event(envelope("com.example.thing", {"a": 1}))

    assert event == UnknownEvent(
        platform="local:///p", time=NOON, type="com.example.thing", source="local:///p", id="1", data={"a": 1}
    )


def test_what_is_stored_is_a_structured_cloudevent() -> None:
    registered = ModelRegistered(platform="local:///p", time=NOON, model="a/b", version="1", run="r")

    written = to_json(to_envelope(registered))

    assert written == {
        "specversion": "1.0",
        "id": "a%2Fb/1",
        "source": "local:///p",
        "type": "cloudmlops.model.registered",
        "time": "2026-01-01T12:00:00+00:00",
        "subject": "a%2Fb/1",
        "datacontenttype": "application/json",
        "data": {"model": "a/b", "version": "1", "run": "r"},
    }
    assert to_event(from_json(written)) == registered


def test_all_that_keeps_json_from_being_an_event_is_told_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        from_json({"id": 1, "source": "", "time": "2026-01-01T00:00:00", "data": "x", "subject": None})

    assert caught.value.faults == (
        "id must be text and not empty, not 1",
        "source must be text and not empty, not ''",
        "type is missing",
        "data must be an object, not 'x'",
        "time must be a time with a zone such as 2026-01-31T12:00:00Z, not '2026-01-01T00:00:00'",
    )
