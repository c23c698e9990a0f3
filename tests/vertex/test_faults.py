"""What goes wrong on the way to Google's services, verb by verb: each ends in a clear error or a clean retry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from google.cloud.aiplatform_v1 import (
    FeatureOnlineStoreAdminServiceClient,
    FeatureRegistryServiceClient,
    ModelServiceClient,
    ScheduleServiceClient,
)
from google.cloud.aiplatform_v1.types import (
    DeleteModelRequest,
    DeleteModelVersionRequest,
    ListModelVersionsRequest,
    MergeVersionAliasesRequest,
    Model,
)

from cloudmlops import Platform, connect
from cloudmlops.domain.actors import Actor
from cloudmlops.domain.features import Entity, FeatureView, TableSource
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.domain.models import ModelVersion, Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import (
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
)
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.testing.contract.models import in_production, written_model
from cloudmlops.testing.contract.pipeline_steps import training
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened

pytestmark = pytest.mark.conformance(ci=True)

Act = Callable[[Platform, Path], object]
IMAGE: Final = "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"
WHEN: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROWS: Final = [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}]
ASKED: Final = [{"origin": "JFK", "event_time": WHEN}]

VERSION: Final = ModelVersion(
    model="scaling",
    version="1",
    stage=Stage.NONE,
    artifact_uri="gs://bucket/models/scaling/1/",
    registered_at=WHEN,
    registered_by=Actor(id="ada"),
)

weather = FeatureView(
    "weather",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("weather"),
    timestamp="seen_at",
    features={"wind": float},
)


@pytest.fixture(params=["grpc", "rest"])
def backends(opened: Opened, request: pytest.FixtureRequest) -> VertexBackends:
    return opened(transport=request.param)


@pytest.fixture
def platform(opened: Opened) -> Iterator[Platform]:
    with connect(opened(image=IMAGE).target) as connected:
        yield connected


def models(backends: VertexBackends) -> ModelServiceClient:
    return backends.wire.client(ModelServiceClient)


def versions(backends: VertexBackends) -> list[Model]:
    request = ListModelVersionsRequest(name=f"{backends.settings.parent}/models/churn")
    return sorted(models(backends).list_model_versions(request=request), key=lambda known: int(known.version_id))


def deploy(platform: Platform, folder: Path) -> None:
    platform.endpoints.deploy(platform.models.register("scaling", write_scaling_model(folder)), to="live")


@pytest.mark.parametrize(
    ("call", "act"),
    [
        ("aiplatform/ModelService.ListModelVersions", lambda at, _: at.models.get("churn", "1")),
        ("aiplatform/PipelineService.ListPipelineJobs", lambda at, _: at.pipelines.list()),
        ("aiplatform/EndpointService.ListEndpoints", lambda at, _: at.endpoints.list()),
        ("bigquery/*", lambda at, _: at.features.write_table("weather", ROWS)),
    ],
    ids=["models", "pipelines", "endpoints", "features"],
)
def test_a_call_that_is_never_answered_is_cut_at_its_deadline(
    backends: VertexBackends, opened: Opened, vertex_emulator: Emulator, tmp_path: Path, call: str, act: Act
) -> None:
    transport = backends.settings.transport
    with connect(opened(transport=transport, timeout="0.5").target) as platform:
        platform._context.backends.objects.put("warm", b"")
        vertex_emulator.faults.set(Fault(matching=call, times=None, delay_seconds=120))

        with pytest.raises(UnavailableError) as caught:
            act(platform, tmp_path)

    assert caught.value.retryable
    assert caught.value.operation


def test_an_object_is_waited_for_no_longer_than_a_call(opened: Opened, vertex_emulator: Emulator) -> None:
    with connect(opened(timeout="3").target) as platform:
        assert platform.models.list() == []
        vertex_emulator.faults.set(Fault(matching="storage/*", times=None, delay_seconds=10))

        with pytest.raises(UnavailableError):
            platform.models.list()


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL"])
@pytest.mark.parametrize(
    ("call", "act"),
    [
        ("aiplatform/ModelService.ListModelVersions", lambda at, _: at.models.verify("churn")),
        ("aiplatform/PipelineService.ListPipelineJobs", lambda at, _: at.pipelines.list()),
        ("aiplatform/EndpointService.ListEndpoints", lambda at, _: at.endpoints.list()),
        ("bigquery/jobs.insert", lambda at, _: at.features.training_table(weather, ASKED)),
    ],
    ids=["models", "pipelines", "endpoints", "features"],
)
def test_what_is_refused_for_a_moment_is_asked_again(
    platform: Platform, vertex_emulator: Emulator, tmp_path: Path, call: str, act: Act, code: str
) -> None:
    platform.models.register("churn", written_model(tmp_path / "model"))
    platform.features.write_table("weather", ROWS)
    vertex_emulator.calls.clear()
    vertex_emulator.faults.set(Fault(matching=call, refused=Refused(code, "not now", reason="backendError")))

    act(platform, tmp_path)

    assert vertex_emulator.calls.list(call)[0].status == code


@pytest.mark.parametrize("reason", ["quotaExceeded", "rateLimitExceeded"])
def test_a_quota_of_bigquery_is_told_as_one(
    opened: Opened, vertex_emulator: Emulator, platform: Platform, reason: str
) -> None:
    platform.features.write_table("weather", ROWS)
    refused = Refused("PERMISSION_DENIED", "Exceeded rate limits: too many queries", reason=reason)
    vertex_emulator.faults.set(Fault(matching="bigquery/jobs.insert", times=None, refused=refused))

    with connect(opened(timeout="1").target) as hasty, pytest.raises(QuotaExceededError, match="too many") as caught:
        hasty.features.training_table(weather, ASKED)

    assert "IAM & Admin > Quotas" in caught.value.hint


@pytest.mark.parametrize(
    "call",
    [
        "aiplatform/ModelService.UploadModel",
        "aiplatform/ModelService.UpdateModel",
        "aiplatform/ModelService.MergeVersionAliases",
        "storage/objects.insert",
    ],
)
def test_a_lost_answer_while_registering_and_promoting_leaves_one_version_and_one_history(
    platform: Platform, opened: Opened, vertex_emulator: Emulator, tmp_path: Path, call: str
) -> None:
    for number in range(1, 4):
        vertex_emulator.faults.set(Fault(matching=call, first=number, lose_response=True))
    vertex_emulator.calls.clear()

    in_production(platform, "churn", written_model(tmp_path / "model"))

    assert "DROPPED" in {found.status for found in vertex_emulator.calls.list(call)}
    assert platform.models.verify("churn").ok
    (only,) = versions(opened())
    assert only.labels["stage"] == "production"
    assert list(only.version_aliases) == ["default", "production"]
    kinds = [entry.kind for entry in platform.models.history("churn")]
    assert kinds == [EntryKind.REGISTERING, EntryKind.REGISTERED, *[EntryKind.MOVED] * 3]


def test_an_upload_that_fails_in_the_end_says_why_and_the_next_try_makes_the_version(
    backends: VertexBackends, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    artifact = written_model(tmp_path / "model")
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    name = f"{backends.settings.parent}/models/churn"

    def fail() -> None:
        operations.takes = timedelta(0)
        models(backends).delete_model(request=DeleteModelRequest(name=name))
        vertex_emulator.clock.advance(timedelta(hours=3))

    with connect(backends.settings.target) as platform:
        platform.models.register("churn", artifact)
        operations.takes = timedelta(hours=1)
        vertex_emulator.faults.set(Fault(matching="aiplatform/Operations.GetOperation", before=fail))
        with pytest.raises(NotFoundError, match=r"models\.register of 'churn@2' was refused: .*models/churn"):
            platform.models.register("churn", artifact, tags={"try": "one"})

        assert platform.models.register("churn", artifact, tags={"try": "two"}).version == "2"

    assert [known.labels["cloudmlops-version"] for known in versions(backends)] == ["2"]


def test_versions_that_are_made_and_deleted_between_two_pages_hide_no_other(
    backends: VertexBackends, opened: Opened, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    other = opened()
    name = f"{backends.settings.parent}/models/churn"
    with connect(backends.settings.target) as platform:
        for number in range(4):
            platform.models.register("churn", written_model(tmp_path / f"model-{number}"))
        artifact = written_model(tmp_path / "late")

        def change() -> None:
            models(other).delete_model_version(request=DeleteModelVersionRequest(name=f"{name}@2"))
            with connect(other.settings.target) as elsewhere:
                elsewhere.models.register("churn", artifact)

        request = ListModelVersionsRequest(name=name, page_size=2)
        listed = backends.wire.list(
            models(backends).list_model_versions, request, operation="models.get", resource="churn"
        )
        seen = [next(listed).version_id, next(listed).version_id]
        vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.ListModelVersions", before=change))
        seen += [version.version_id for version in listed]

    assert seen == ["1", "2", "3", "4", "5"]


def test_an_alias_that_moves_while_it_is_drawn_ends_where_the_ledger_says(
    backends: VertexBackends, opened: Opened, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    other = opened()
    name = f"{backends.settings.parent}/models/churn@1"

    def steal() -> None:
        models(other).merge_version_aliases(
            request=MergeVersionAliasesRequest(name=name, version_aliases=["production"])
        )
        vertex_emulator.faults.clear()

    with connect(backends.settings.target) as platform:
        in_production(platform, "churn", written_model(tmp_path / "one"))
        second = platform.models.register("churn", written_model(tmp_path / "two"))
        for stage in (Stage.CANDIDATE, Stage.STAGING):
            platform.models.promote("churn", second.version, to=stage)
        # Taken back by another process before the drawing is looked at.
        drawn = Fault(matching="aiplatform/ModelService.MergeVersionAliases", before=lambda: after_drawing())

        def after_drawing() -> None:
            vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.ListModelVersions", before=steal))

        vertex_emulator.faults.set(drawn)
        platform.models.promote("churn", second.version, to=Stage.PRODUCTION)

        assert platform.models.verify("churn").ok
    assert [list(known.version_aliases) for known in versions(backends)] == [["default"], ["production"]]


def test_a_schedule_whose_answer_is_lost_is_there_once_when_it_is_asked_for_again(
    platform: Platform, opened: Opened, vertex_emulator: Emulator
) -> None:
    vertex_emulator.faults.set(Fault(matching="aiplatform/ScheduleService.CreateSchedule", lose_response=True))

    with pytest.raises(UnavailableError):
        platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *")
    platform.pipelines.schedule(training, name="nightly", cron="0 4 * * *")

    assert [kept.cron for kept in platform.pipelines.schedules()] == ["0 4 * * *"]
    backends = opened()
    client = backends.wire.client(ScheduleServiceClient)
    assert len(list(client.list_schedules(parent=backends.settings.parent))) == 1


@pytest.mark.parametrize(
    "call",
    [
        "aiplatform/FeatureRegistryService.CreateFeatureGroup",
        "aiplatform/FeatureRegistryService.BatchCreateFeatures",
        "aiplatform/FeatureOnlineStoreAdminService.CreateFeatureOnlineStore",
        "aiplatform/FeatureOnlineStoreAdminService.CreateFeatureView",
        "aiplatform/FeatureOnlineStoreAdminService.SyncFeatureView",
        "bigquery/datasets.insert",
        "bigquery/tables.insert",
        "bigquery/jobs.insert",
    ],
)
def test_a_lost_answer_while_features_are_made_makes_nothing_twice(
    opened: Opened, vertex_emulator: Emulator, call: str
) -> None:
    backends = opened()
    vertex_emulator.faults.set(Fault(matching=call, lose_response=True))

    for _ in range(2):
        with connect(backends.target) as platform, suppress(UnavailableError):
            platform.features.write_table("weather", ROWS)
            platform.features.apply([weather])
            platform.features.materialize(weather)

    assert "DROPPED" in {found.status for found in vertex_emulator.calls.list(call)}
    with connect(backends.target) as platform:
        assert platform.features.online(weather, [{"origin": "JFK"}]).values() == [{"wind": 1.0}]
    registry = backends.wire.client(FeatureRegistryServiceClient)
    assert len(list(registry.list_feature_groups(parent=backends.settings.parent))) == 2
    stores = backends.wire.client(FeatureOnlineStoreAdminServiceClient)
    (store,) = stores.list_feature_online_stores(parent=backends.settings.parent)
    assert len(list(stores.list_feature_views(parent=store.name))) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda at, folder: at.models.register("Bad Name", written_model(folder)),
        lambda at, _: at.pipelines.run(training, id="Bad Name"),
        lambda at, _: at.pipelines.schedule(training, name="Bad Name", cron="0 3 * * *"),
        lambda at, _: at.features.write_table("Bad Name", ROWS),
        lambda at, _: at.endpoints.deploy(VERSION, to="Bad Name"),
    ],
    ids=["model", "run", "schedule", "table", "endpoint"],
)
def test_a_name_that_vertex_ai_would_refuse_is_refused_before_anything_is_asked(
    platform: Platform, vertex_emulator: Emulator, tmp_path: Path, act: Act
) -> None:
    vertex_emulator.calls.clear()
    with pytest.raises(InvalidRequestError, match="must be a lower-case letter"):
        act(platform, tmp_path / "model")
    assert vertex_emulator.calls.list() == []


@pytest.mark.parametrize(
    ("verb", "permission", "act"),
    [
        ("models.register", "aiplatform.models.upload", lambda at, to: at.models.register("churn", written_model(to))),
        ("models.get", "aiplatform.models.list", lambda at, _: at.models.names()),
        ("pipelines.run", "aiplatform.pipelineJobs.create", lambda at, _: at.pipelines.run(training)),
        ("features.apply", "aiplatform.featureGroups.create", lambda at, _: at.features.apply([weather])),
        ("features.write_table", "bigquery.tables.create", lambda at, _: at.features.write_table("weather", ROWS)),
        (
            "features.training_table",
            "bigquery.jobs.create",
            lambda at, _: at.features.training_table(weather, ASKED),
        ),
        ("endpoints.deploy", "aiplatform.endpoints.deploy", deploy),
    ],
)
def test_a_missing_permission_is_told_with_the_resource_and_the_remedy(
    platform: Platform, vertex_emulator: Emulator, tmp_path: Path, verb: str, permission: str, act: Act
) -> None:
    platform.features.write_table("weather", ROWS)
    vertex_emulator.cloud(GoogleCloud).access.deny(permission)

    with pytest.raises(PermissionDeniedError) as caught:
        act(platform, tmp_path / "model")

    assert f"lacks {permission}." in caught.value.hint
    assert "docs/access.md" in caught.value.hint
    assert "platform.check_access([" in caught.value.hint
    assert caught.value.resource
    assert caught.value.operation.partition(".")[0] == verb.partition(".")[0]
