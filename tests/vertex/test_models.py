from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.aiplatform_v1.types import (
    GetModelRequest,
    ListModelVersionsRequest,
    MergeVersionAliasesRequest,
    Model,
    UpdateModelRequest,
    UploadModelRequest,
)
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.domain.models import Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
    WaitTimeoutError,
)
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.mapping import models as mapping

from .conftest import Opened
from .model_versions import client, new, shown, uploaded_by_others, versions


@pytest.fixture(params=["grpc", "rest"])
def backends(opened: Opened, request: pytest.FixtureRequest) -> VertexBackends:
    return opened(transport=request.param)


def test_what_a_version_is_made_of_is_sent(backends: VertexBackends, vertex_emulator: Emulator) -> None:
    name = backends.models.create(new(run="run-7", card="For churn."))

    sent = vertex_emulator.calls.list("ModelService.UploadModel")[-1].request
    assert name.endswith("/models/churn@1")
    assert sent["model_id"] == "churn"
    assert sent["model"]["artifact_uri"] == "gs://bucket/models/churn/1"
    assert sent["model"]["version_description"] == "For churn."
    assert sent["model"]["pipeline_job"] == f"{backends.settings.parent}/pipelineJobs/run-7"
    assert sent["model"]["container_spec"]["predict_route"] == "/predict"
    assert sent["model"]["labels"]["cloudmlops-version"] == "1"
    assert sent["model"]["labels"]["stage"] == "none"


def test_the_same_request_again_is_the_same_version(backends: VertexBackends) -> None:
    assert backends.models.create(new()) == backends.models.create(new())
    assert len(versions(backends)) == 1


def test_another_request_is_the_next_version(backends: VertexBackends) -> None:
    backends.models.create(new())
    assert backends.models.create(new("2", request="r2")).endswith("/models/churn@2")


def test_a_lost_response_makes_no_second_version(backends: VertexBackends, vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.UploadModel", lose_response=True))

    backends.models.create(new())

    assert len(versions(backends)) == 1
    assert len(vertex_emulator.calls.list("ModelService.UploadModel")) == 1


def test_a_version_that_was_not_made_is_tried_once_more_when_the_model_is_there(
    backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    backends.models.create(new())
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.UploadModel", drop=True))

    backends.models.create(new("2", request="r2"))

    assert [known.labels["cloudmlops-version"] for known in versions(backends)] == ["1", "2"]


def test_a_service_that_stays_away_is_said_to_be_unavailable(
    backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    refused = Refused("UNAVAILABLE", "The service is currently unavailable.")
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.UploadModel", times=None, refused=refused))

    with pytest.raises(UnavailableError, match=r"models\.register of 'churn@1'") as caught:
        backends.models.create(new())

    assert caught.value.retryable
    assert caught.value.provider == "vertex"


def test_reading_is_repeated_until_it_works(backends: VertexBackends, vertex_emulator: Emulator) -> None:
    backends.models.create(new())
    refused = Refused("UNAVAILABLE", "not now")
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.ListModelVersions", times=2, refused=refused))

    assert list(backends.models.projected("churn")) == ["1"]


def test_an_exceeded_quota_is_named(backends: VertexBackends, vertex_emulator: Emulator) -> None:
    refused = Refused("RESOURCE_EXHAUSTED", "Quota exceeded for aiplatform.googleapis.com/model_upload_requests.")
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.UploadModel", times=None, refused=refused))

    with pytest.raises(QuotaExceededError, match="model_upload_requests"):
        backends.models.create(new())


def test_two_retries_at_once_leave_one_version(opened: Opened) -> None:
    with ThreadPoolExecutor(4) as threads:
        names = list(threads.map(lambda _: opened().models.create(new()), range(4)))

    assert len(set(names)) == 1
    assert len(versions(opened())) == 1


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_an_upload_that_was_given_up_waiting_for_is_not_begun_again(
    opened: Opened, vertex_emulator: Emulator, transport: str
) -> None:
    backends, impatient = opened(transport=transport), opened(transport=transport, timeout="1")
    backends.models.create(new())
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    operations.takes = timedelta(hours=1)
    try:
        for _ in range(2):
            with pytest.raises(WaitTimeoutError):
                impatient.models.create(new("2", request="r2"))
    finally:
        operations.takes = timedelta(0)
    vertex_emulator.clock.advance(timedelta(hours=2))

    assert impatient.models.create(new("2", request="r2")).endswith("/models/churn@2")
    assert [known.labels["cloudmlops-version"] for known in versions(backends)] == ["1", "2"]
    assert backends.models.create(new("3", request="r3")).endswith("/models/churn@3")


def test_an_upload_of_others_that_fails_while_it_is_waited_for_is_passed_over(
    opened: Opened, vertex_emulator: Emulator
) -> None:
    backends = opened()
    parent = backends.settings.parent
    first = UploadModelRequest(parent=parent, model_id="churn", model=Model(display_name="churn"))
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    operations.takes = timedelta(hours=1)
    try:
        for _ in range(2):  # of which the second one will find that the model is there
            client(backends).upload_model(request=first)
    finally:
        operations.takes = timedelta(0)
    vertex_emulator.faults.set(
        Fault(
            matching="aiplatform/Operations.GetOperation",
            before=lambda: vertex_emulator.clock.advance(timedelta(hours=2)),
        )
    )

    assert backends.models.create(new()).endswith("/models/churn@2")


def test_of_two_stores_that_make_a_model_at_once_one_is_refused(opened: Opened, vertex_emulator: Emulator) -> None:
    backends, other = opened(), opened(prefix="other")
    fault = Fault(matching="aiplatform/ModelService.UploadModel", before=lambda: other.models.create(new()))
    vertex_emulator.faults.set(fault)

    with pytest.raises(ConflictError, match="already exists"):
        backends.models.create(new())

    assert other.models.store("churn") == other.objects.uri
    assert len(versions(backends)) == 1


def test_a_version_that_is_removed_as_soon_as_it_is_made_is_told(opened: Opened, vertex_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    backends.models.create(new())

    def remove() -> None:
        client(other).delete_model_version(name=f"{backends.settings.parent}/models/churn@2").result()

    # Looked for twice before it is made, then whether it is the only one.
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.ListModelVersions", first=3, before=remove))

    with pytest.raises(NotFoundError, match="version 2 of model 'churn' is not in Vertex AI's registry"):
        backends.models.create(new("2", request="r2"))


def test_a_copy_that_a_retry_left_is_removed_by_the_next_one(opened: Opened) -> None:
    backends = opened()
    name = backends.models.create(new())
    uploaded_by_others(backends, labels=dict(versions(backends)[0].labels), version_aliases=["default"])

    assert backends.models.create(new()) == name
    assert [list(known.version_aliases) for known in versions(backends)] == [["default"]]


def test_stage_and_tags_are_drawn_as_labels_and_read_back(backends: VertexBackends) -> None:
    backends.models.create(new())
    tags = {"team": "growth", "Owner": "Ada Lovelace", "long": "x" * 100, "stage": "odd"}
    wanted = replace(shown(stage=Stage.CANDIDATE), tags=tags)

    backends.models.project("churn", [wanted])

    assert backends.models.projected("churn") == {"1": wanted}
    labels = dict(versions(backends)[0].labels)
    assert labels["stage"] == "candidate"
    assert labels["stage_rev"] == "2"
    assert labels["team"] == "growth"
    assert "owner" not in {key.lower() for key in labels}, "what does not fit is not cut"


def test_a_tag_that_is_gone_is_no_label_any_more_and_labels_of_others_stay(backends: VertexBackends) -> None:
    name = backends.models.create(new())
    backends.models.project("churn", [shown(team="growth")])
    labels = dict(versions(backends)[0].labels) | {"cost-centre": "7"}
    client(backends).update_model(
        request=UpdateModelRequest(model=Model(name=name, labels=labels), update_mask={"paths": ["labels"]})
    )

    backends.models.project("churn", [shown(revision=3)])

    labels = dict(versions(backends)[0].labels)
    assert "team" not in labels
    assert labels["cost-centre"] == "7"
    assert backends.models.projected("churn")["1"].tags == {}


def test_a_label_that_somebody_else_changes_is_seen(backends: VertexBackends) -> None:
    name = backends.models.create(new())
    backends.models.project("churn", [shown(team="growth")])
    labels = dict(versions(backends)[0].labels) | {"team": "fraud"}
    client(backends).update_model(
        request=UpdateModelRequest(model=Model(name=name, labels=labels), update_mask={"paths": ["labels"]})
    )

    assert backends.models.projected("churn")["1"].tags == {"team": "fraud"}


def test_production_and_staging_are_aliases_that_move_with_the_stage(backends: VertexBackends) -> None:
    backends.models.create(new())
    backends.models.create(new("2", request="r2"))
    backends.models.project("churn", [shown(stage=Stage.PRODUCTION), shown("2", Stage.STAGING)])
    backends.models.project("churn", [shown(stage=Stage.ARCHIVED), shown("2", Stage.PRODUCTION)])

    first, second = versions(backends)
    assert list(first.version_aliases) == ["default"]
    assert list(second.version_aliases) == ["production"]
    by_alias = client(backends).get_model(
        request=GetModelRequest(name=f"{backends.settings.parent}/models/churn@production")
    )
    assert by_alias.version_id == "2"


def test_of_several_versions_in_staging_the_last_one_has_the_alias(backends: VertexBackends) -> None:
    backends.models.create(new())
    backends.models.create(new("2", request="r2"))
    backends.models.project("churn", [shown("2", Stage.STAGING, revision=5)])
    backends.models.project("churn", [shown("1", Stage.STAGING, revision=4)])

    assert [list(known.version_aliases) for known in versions(backends)] == [["default"], ["staging"]]
    assert not any(found.faults for found in backends.models.projected("churn").values())


def test_an_alias_that_somebody_else_moves_meanwhile_is_drawn_again(
    backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    backends.models.create(new())
    backends.models.create(new("2", request="r2"))
    backends.models.project("churn", [shown("2", Stage.PRODUCTION)])
    name = f"{backends.settings.parent}/models/churn@1"
    steal = MergeVersionAliasesRequest(name=name, version_aliases=["production"])
    client(backends).merge_version_aliases(request=steal)

    backends.models.project("churn", [shown("1"), shown("2", Stage.PRODUCTION)])

    assert [list(known.version_aliases) for known in versions(backends)] == [["default"], ["production"]]


def test_a_version_that_changes_while_it_is_drawn_is_drawn_on_what_it_became(
    opened: Opened, vertex_emulator: Emulator
) -> None:
    backends, other = opened(), opened()
    name = backends.models.create(new())

    def change() -> None:
        labels = dict(versions(other)[0].labels) | {"cost-centre": "7"}
        request = UpdateModelRequest(model=Model(name=name, labels=labels), update_mask={"paths": ["labels"]})
        client(other).update_model(request=request)

    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.UpdateModel", before=change))
    backends.models.project("churn", [shown(team="growth")])

    labels = dict(versions(backends)[0].labels)
    assert labels["cost-centre"] == "7"
    assert labels["team"] == "growth"


def test_a_version_that_is_always_changed_ends_in_a_conflict(opened: Opened, vertex_emulator: Emulator) -> None:
    backends = opened()
    backends.models.create(new())
    refused = Refused("ABORTED", "The etag does not match.")
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.UpdateModel", times=None, refused=refused))

    with pytest.raises(ConflictError, match="etag"):
        backends.models.project("churn", [shown()])


def test_a_version_that_somebody_removed_natively_is_named(backends: VertexBackends) -> None:
    backends.models.create(new())
    with pytest.raises(NotFoundError, match="version 9 of model 'churn'"):
        backends.models.project("churn", [shown("9")])


def test_versions_that_others_uploaded_are_not_ours(backends: VertexBackends) -> None:
    backends.models.create(new())
    uploaded_by_others(backends)

    assert list(backends.models.projected("churn")) == ["1"]
    assert backends.models.create(new("2", request="r2")).endswith("@3"), "numbers there may differ from the ledger's"
    assert sorted(backends.models.projected("churn")) == ["1", "2"]


def test_deleting_takes_one_version_then_the_model(backends: VertexBackends) -> None:
    backends.models.create(new())
    backends.models.create(new("2", request="r2"))

    backends.models.delete("churn", "1")
    assert [known.labels["cloudmlops-version"] for known in versions(backends)] == ["2"]
    assert "default" in versions(backends)[0].version_aliases

    backends.models.delete("churn", "2")
    backends.models.delete("churn", "2")
    assert backends.models.projected("churn") == {}


@pytest.mark.conformance(ci=True)
def test_many_versions_are_read_page_by_page(backends: VertexBackends) -> None:
    for number in range(1, 131):
        backends.models.create(new(str(number), request=f"r{number}"))
    assert len(backends.models.projected("churn")) == 130


def test_what_goes_wrong_with_a_later_page_is_one_of_our_errors(
    backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    backends.models.create(new())
    backends.models.create(new("2", request="r2"))
    refused = Refused("PERMISSION_DENIED", "Permission 'aiplatform.models.list' denied.")
    fault = Fault(matching="aiplatform/ModelService.ListModelVersions", first=2, refused=refused)
    vertex_emulator.faults.set(fault)
    request = ListModelVersionsRequest(name=f"{backends.settings.parent}/models/churn", page_size=1)

    listed = backends.wire.list(client(backends).list_model_versions, request, operation="models.get", resource="churn")
    assert next(listed).version_id == "1"
    with pytest.raises(PermissionDeniedError, match=r"models\.get of 'churn'"):
        next(listed)


def test_asking_for_what_comes_in_pages_as_if_it_were_one_answer_is_a_mistake(opened: Opened) -> None:
    backends = opened()
    request = ListModelVersionsRequest(name=f"{backends.settings.parent}/models/churn")
    backends.models.create(new())

    with pytest.raises(TypeError, match="list_model_versions answers in pages"):
        backends.wire.ask(client(backends).list_model_versions, request, operation="o", resource="r", again=True)


def test_the_earliest_of_equal_labels_counts_in_whatever_order_versions_are_listed() -> None:
    listed = [Model(version_id=native, labels={"cloudmlops-version": "1"}) for native in ("10", "9", "11")]

    assert mapping.of_ledger(listed)["1"].version_id == "9"


@given(st.dictionaries(st.text(max_size=70), st.text(max_size=70), max_size=80))
def test_every_tag_is_a_label_or_kept_beside_and_none_is_both(tags: dict[str, str]) -> None:
    split = mapping.split_tags(tags)
    assert dict(split.labels) | dict(split.others) == tags
    assert not set(split.labels) & set(split.others)
    assert len(split.labels) + 8 <= 64


def test_the_same_key_for_another_version_is_another_version(backends: VertexBackends) -> None:
    backends.models.create(new())
    assert backends.models.create(new("2")).endswith("@2")
