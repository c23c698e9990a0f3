from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops import connect
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
)
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping import models as mapping
from cloudmlops.testing.contract.models import in_production, written_model

from .conftest import Connects, Opened
from .model_versions import DIGEST, PUT, change, new, once_within, registered_by_others, shown, versions
from .steps.pipelines import registering


def test_what_a_version_is_made_of_is_sent(
    backends: AzureMLBackends, azureml_emulator: Emulator, workspace: str
) -> None:
    name = backends.models.create(new(backends, run="run-7", card="For churn."))

    sent = azureml_emulator.calls.list(PUT)[-1].request["body"]["properties"]
    assert name.endswith(f"/workspaces/{workspace}/models/churn/versions/1")
    assert sent["modelUri"].startswith("azureml://subscriptions/")
    assert sent["modelUri"].endswith(
        f"/workspaces/{workspace}/datastores/workspaceblobstore/paths/cloudmlops/models/churn/1"
    )
    assert sent["modelType"] == "mlflow_model"
    assert sent["description"] == "For churn."
    assert sent["stage"] == "Development"
    assert sent["tags"] == {"stage": "none", "stage_rev": "0"}
    assert sent["properties"] == {
        "cloudmlops-version": "1",
        "cloudmlops-request": "r1",
        "cloudmlops-store": backends.objects.uri,
        "cloudmlops-native": "1",
        "cloudmlops-digest": DIGEST,
        "cloudmlops-run": "run-7",
    }
    assert "jobName" not in sent, "a run may be called as one likes, and need be no job of the workspace"


def test_azure_s_own_client_does_not_send_the_job_that_a_version_is_of(
    backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    made = registered_by_others(backends, job_name="run-7")

    sent = azureml_emulator.calls.list(PUT)[-1].request["body"]["properties"]
    assert sent.get("jobName") is None, "lineage need not be a property any more"
    assert made.job_name is None


@pytest.mark.conformance(ci=True)
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_a_version_says_which_job_its_step_was_part_of(connect_to_run: Connects) -> None:
    platform = connect_to_run()
    run = platform.pipelines.run(registering, wait=True)

    made = platform.native.models.get("made-inside", "1")

    job = platform.native.jobs.get(made.properties["cloudmlops-run"])
    assert (job.name, job.status) == (run.id, "Completed")
    assert platform.models.get("made-inside", "1").run == job.name


def test_registering_moves_no_file(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    backends.objects.put("models/churn/1/MLmodel", b"")
    azureml_emulator.calls.clear()

    backends.models.create(new(backends))

    assert azureml_emulator.calls.list("blob/") == []
    assert azureml_emulator.calls.list("listSecrets") == []


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # azure-ai-ml 1.35 uses deprecated parts of azure-storage-blob
def test_azure_s_own_client_downloads_what_was_registered(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))

    backends.native.models.download("churn", "1", download_path=str(tmp_path / "out"))

    files = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files["weights.bin"] == b"weights"
    assert files["MLmodel"] == (tmp_path / "model" / "MLmodel").read_bytes()


def test_the_same_request_again_is_the_same_version(backends: AzureMLBackends) -> None:
    assert backends.models.create(new(backends)) == backends.models.create(new(backends))
    assert len(versions(backends)) == 1


def test_the_same_key_for_another_version_is_another_version(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    assert backends.models.create(new(backends, "2")).endswith("/versions/2")


@pytest.mark.parametrize("fault", ["lose_response", "drop"])
def test_a_lost_response_makes_no_second_version(
    backends: AzureMLBackends, azureml_emulator: Emulator, fault: str
) -> None:
    azureml_emulator.faults.set(Fault(matching=PUT, **{fault: True}))  # type: ignore[arg-type]

    backends.models.create(new(backends))

    assert [known.version for known in versions(backends)] == ["1"]
    assert len(azureml_emulator.calls.list(PUT)) == 2


def test_two_retries_at_once_leave_one_version(opened: Opened) -> None:
    several = [opened() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        names = list(threads.map(lambda one: one.models.create(new(one)), several))

    assert len(set(names)) == 1
    assert len(versions(several[0])) == 1


def test_a_number_that_somebody_else_took_is_passed_over(backends: AzureMLBackends) -> None:
    registered_by_others(backends)

    name = backends.models.create(new(backends))

    assert name.rpartition("/")[2].startswith("1-")
    assert backends.models.create(new(backends)) == name
    assert list(backends.models.projected("churn")) == ["1"]
    assert backends.models.projected("churn")["1"].native == name


def test_a_number_that_somebody_else_takes_meanwhile_is_passed_over(opened: Opened, azureml_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    take = once_within(lambda: registered_by_others(other))
    azureml_emulator.faults.set(Fault(matching=PUT, before=take))

    assert backends.models.create(new(backends)).rpartition("/")[2].startswith("1-")
    assert len(versions(backends)) == 2


def test_all_names_taken_is_a_conflict(backends: AzureMLBackends) -> None:
    for identifier in mapping.identifiers(new(backends)):
        registered_by_others(backends, identifier)

    with pytest.raises(ConflictError, match="somebody else has versions 1 and 1-"):
        backends.models.create(new(backends))


def test_stage_and_tags_are_drawn_and_read_back(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    tags = {"team": "growth", "Owner": "Ada Lovelace", "long": "x" * 1001, "k" * 101: "x", "stage": "odd"}
    wanted = replace(shown(stage=Stage.CANDIDATE), tags=tags)

    backends.models.project("churn", [wanted])

    assert backends.models.projected("churn") == {"1": wanted}
    (version,) = versions(backends)
    assert version.tags["stage"] == "candidate"
    assert version.tags["stage_rev"] == "2"
    assert version.tags["Owner"] == "Ada Lovelace"
    assert "long" not in version.tags, "what does not fit is not cut"
    assert "k" * 100 not in version.tags


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize(
    ("stage", "native"),
    [
        (Stage.NONE, "Development"),
        (Stage.CANDIDATE, "Development"),
        (Stage.STAGING, "Staging"),
        (Stage.PRODUCTION, "Production"),
        (Stage.ARCHIVED, "Archived"),
    ],
)
def test_the_studio_shows_the_stage(backends: AzureMLBackends, stage: Stage, native: str) -> None:
    backends.models.create(new(backends))
    backends.models.project("churn", [shown(stage=stage)])

    assert [version.stage for version in versions(backends)] == [native]
    assert set(mapping.NATIVE_STAGES) == set(Stage)


def test_a_tag_that_is_gone_goes_and_what_others_wrote_stays(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    backends.models.project("churn", [shown(team="growth")])
    (present,) = versions(backends)
    change(backends, tags={**present.tags, "cost-centre": "7"}, description="theirs")

    backends.models.project("churn", [shown(revision=3)])

    (version,) = versions(backends)
    assert "team" not in version.tags
    assert version.tags["cost-centre"] == "7"
    assert version.description == "theirs"
    assert backends.models.projected("churn")["1"].tags == {}


def test_a_tag_that_somebody_else_changes_is_seen(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    backends.models.project("churn", [shown(team="growth")])
    change(backends, tags={**versions(backends)[0].tags, "team": "fraud"})

    assert backends.models.projected("churn")["1"].tags == {"team": "fraud"}


def test_versions_that_others_made_are_not_ours_not_even_copies(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    copied = backends.native.models.get("churn", "1")
    registered_by_others(backends, "7", properties=copied.properties, tags=copied.tags)

    assert list(backends.models.projected("churn")) == ["1"]
    assert backends.models.projected("churn")["1"].native.endswith("/versions/1")


def test_a_version_that_is_not_there_is_named(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    native = backends.models.projected("churn")["1"].native.removesuffix("1") + "9"

    for wanted in (shown("9"), replace(shown("9"), native=native)):
        with pytest.raises(NotFoundError, match="version 9 of model 'churn'"):
            backends.models.project("churn", [wanted])


def test_what_cannot_be_drawn_of_one_version_stops_no_other(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))

    with pytest.raises(NotFoundError):
        backends.models.project("churn", [shown("9"), shown(stage=Stage.CANDIDATE)])

    assert backends.models.projected("churn")["1"].stage is Stage.CANDIDATE


def test_a_deleted_version_is_archived_and_counts_no_more(backends: AzureMLBackends) -> None:
    backends.models.create(new(backends))
    backends.models.create(new(backends, "2", request="r2"))

    for _ in range(2):
        backends.models.delete("churn", "1")

    assert [known.version for known in versions(backends)] == ["2"]
    assert [known.version for known in versions(backends, archived=True)] == ["1", "2"]
    assert list(backends.models.projected("churn")) == ["2"]
    assert backends.models.stamped() == ["churn"]
    backends.models.delete("churn", "2")
    assert backends.models.stamped() == []
    assert backends.models.store("churn") is None


def test_a_deletion_that_was_cut_off_is_finished_by_the_next(
    backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    backends.models.create(new(backends))
    before = len(azureml_emulator.calls.list(PUT))
    azureml_emulator.faults.set(Fault(matching=PUT, first=2, refused=Refused("INVALID_ARGUMENT", "not today")))
    with pytest.raises(Exception, match="not today"):
        backends.models.delete("churn", "1")
    assert len(azureml_emulator.calls.list(PUT)) == before + 2

    backends.models.delete("churn", "1")

    assert versions(backends) == []


def test_the_store_is_stamped_with_the_first_version(opened: Opened) -> None:
    backends = opened()
    assert backends.models.store("churn") is None
    backends.models.stamp("churn", backends.objects.uri)
    backends.models.create(new(backends))

    assert backends.models.store("churn") == backends.objects.uri
    assert backends.models.stamped() == ["churn"]


def test_a_model_that_others_made_is_stamped_once(backends: AzureMLBackends) -> None:
    registered_by_others(backends, tags={"team": "fraud"})
    registered_by_others(backends, model="spam")
    assert backends.models.stamped() == []

    backends.models.stamp("churn", backends.objects.uri)
    backends.models.stamp("churn", "abfss://another@store.dfs.core.windows.net")

    assert versions(backends)[0].tags == {"team": "fraud"}
    assert backends.models.store("churn") == backends.objects.uri
    assert backends.models.stamped() == ["churn"]


def test_a_store_that_is_not_the_model_s_is_refused(opened: Opened, tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    with connect(opened().settings.target) as platform, connect(opened(prefix="other").settings.target) as other:
        platform.models.register("churn", artifact)

        with pytest.raises(ConfigurationError, match="the ledger of model 'churn' lies in abfss://"):
            other.models.register("churn", artifact)


@pytest.mark.conformance(ci=True)
def test_a_stage_that_was_changed_by_hand_is_found_and_drawn_again(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        in_production(platform, "churn", written_model(tmp_path / "model"))
        change(backends, stage="Development")

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "its stage in Azure ML is 'Development', not 'Production'" in found.problems[0].message
    assert repaired.ok
    assert versions(backends)[0].stage == "Production"


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("spoilt", [{"stage": "bogus"}, {"stage_rev": "x"}, {"cloudmlops-head": "x"}])
def test_tags_that_cannot_be_read_are_found_and_drawn_again(
    opened: Opened, tmp_path: Path, spoilt: dict[str, str]
) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"), tags={"team": "growth"})
        change(backends, tags={**versions(backends)[0].tags, **spoilt})

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "are not what this library wrote" in found.problems[0].message
    assert repaired.ok
    assert versions(backends)[0].tags["stage"] == "none"


@pytest.mark.conformance(ci=True)
def test_a_version_whose_tags_and_properties_were_wiped_is_drawn_again(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        in_production(platform, "churn", written_model(tmp_path / "model"))
        change(backends, tags={"cost-centre": "7"}, properties={})

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "the provider shows no record for churn@1" in found.problems[0].message
    assert repaired.ok
    (version,) = versions(backends)
    assert version.tags["stage"] == "production"
    assert version.tags["cost-centre"] == "7"
    assert version.properties["cloudmlops-version"] == "1"


@pytest.mark.conformance(ci=True)
def test_an_approval_by_one_who_may_not_draw_records_stands_and_is_drawn_by_the_next_writer(
    opened: Opened, as_somebody: Callable[[str], None], azureml_emulator: Emulator, tmp_path: Path
) -> None:
    target = opened().settings.target
    with connect(target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        as_somebody("approver")
        with connect(target) as approving:
            azureml_emulator.calls.clear()
            entry = approving.models.approve("churn", "1", to=Stage.PRODUCTION, reason="good")

        assert entry.actor == approving.actor
        assert len(azureml_emulator.calls.list(PUT)) == 1, "a refusal is not asked for again"
        platform.models.promote("churn", "1", to=Stage.CANDIDATE)
        assert platform.models.verify("churn").ok


@pytest.mark.conformance(ci=True)
def test_many_versions_are_read_page_by_page(backends: AzureMLBackends) -> None:
    for number in range(1, 36):
        registered_by_others(backends, str(number))
    backends.models.create(new(backends, "36"))

    assert list(backends.models.projected("churn")) == ["36"]


@given(st.dictionaries(st.text(max_size=120), st.text(max_size=20), max_size=60), st.integers(0, 60))
def test_every_tag_is_azure_s_or_kept_beside_and_none_is_both(tags: dict[str, str], others: int) -> None:
    split = mapping.split_tags(tags, others=others)
    assert dict(split.native) | dict(split.others) == tags
    assert not set(split.native) & set(split.others)
    assert len(split.native) <= max(0, 46 - others)


@pytest.mark.parametrize("native", ["", "projects/p/locations/l/models/churn@1", "churn:1"])
def test_a_name_that_is_no_resource_id_finds_nothing(native: str) -> None:
    assert mapping.identifier_of(native) == ""


@pytest.mark.conformance(ci=True)
def test_a_version_that_others_archived_is_found_and_restored(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        in_production(platform, "churn", written_model(tmp_path / "model"))
        backends.native.models.archive("churn", "1")
        assert versions(backends) == []

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "it is archived in Azure ML" in found.problems[0].message
    assert repaired.ok
    (version,) = versions(backends)
    assert version.stage == "Production"


@pytest.mark.conformance(ci=True)
def test_a_deleted_version_that_others_restore_is_found_and_archived_again(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        platform.models.delete("churn", "1")
        backends.native.models.restore("churn", "1")

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "churn@1 is deleted, but the provider still has a record of it" in found.problems[0].message
    assert repaired.ok
    assert versions(backends) == []


@pytest.mark.conformance(ci=True)
def test_a_stamp_that_others_took_away_is_found_and_drawn_again(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        kept = versions(backends)[0].properties
        change(backends, properties={name: value for name, value in kept.items() if name != "cloudmlops-store"})

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "its ledger lies in None" in found.problems[0].message
    assert repaired.ok
    assert versions(backends)[0].properties == kept


def test_nothing_is_drawn_on_what_somebody_else_registered_in_place_of_a_version(
    backends: AzureMLBackends,
) -> None:
    native = backends.models.create(new(backends))
    backends.wire.send("DELETE", f"{native}?api-version=2024-10-01", operation="by hand", resource="churn@1")
    registered_by_others(backends, tags={"team": "fraud"})

    with pytest.raises(NotFoundError, match="version 1 of model 'churn' is not in the workspace's registry"):
        backends.models.project("churn", [replace(shown(stage=Stage.CANDIDATE), native=native)])
    backends.models.delete("churn", "1")

    (version,) = versions(backends)
    assert (version.tags, version.properties) == ({"team": "fraud"}, {})


def test_a_model_that_others_registered_is_neither_promoted_nor_deleted(
    opened: Opened, azureml_emulator: Emulator
) -> None:
    backends = opened()
    registered_by_others(backends)
    azureml_emulator.calls.clear()

    with connect(backends.settings.target) as platform:
        for act in (
            lambda: platform.models.promote("churn", "1", to=Stage.CANDIDATE),
            lambda: platform.models.approve("churn", "1", to=Stage.PRODUCTION),
            lambda: platform.models.delete("churn", "1"),
            lambda: platform.models.repair("churn"),
        ):
            with pytest.raises(NotFoundError, match="churn"):
                act()

    assert azureml_emulator.calls.list(PUT) == []
