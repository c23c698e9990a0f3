"""What every provider's model registry does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from cloudmlops import Platform, Stage
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.domain.policies import BeatsBaseline, MetricAtLeast, Policies, RequiresApprovals
from cloudmlops.errors import ConflictError, InvalidMoveError, InvalidRequestError, NotFoundError
from cloudmlops.services.effects import handling

_SIGNATURE = """\
flavors: {}
signature:
  inputs: '[{"name": "distance", "type": "double", "required": true}]'
  outputs: '[{"type": "double", "required": true}]'
  params: null
"""


def written_model(folder: Path, *, weights: bytes = b"weights") -> Path:
    """Write the smallest folder that is a model in MLflow's format."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(_SIGNATURE, encoding="utf-8")
    (folder / "data" / "weights.bin").write_bytes(weights)
    return folder


def in_production(platform: Platform, name: str, artifact: Path, versions: int = 1) -> list[str]:
    """Register `versions` versions and promote each to production, one after the other."""
    made = []
    for _ in range(versions):
        version = platform.models.register(name, artifact).version
        for stage in (Stage.CANDIDATE, Stage.STAGING, Stage.PRODUCTION):
            platform.models.promote(name, version, to=stage, reason="contract")
        made.append(version)
    return made


class ModelsContract:
    """Tests that take a `platform`: a connected one without models."""

    @pytest.fixture
    def artifact(self, tmp_path: Path) -> Path:
        return written_model(tmp_path / "artifact")

    def test_a_registered_version_is_found_with_all_that_was_given(self, platform: Platform, artifact: Path) -> None:
        registered = platform.models.register(
            "churn", artifact, run="run-1", metrics={"auc": 0.8}, tags={"team": "growth"}, card="# Churn"
        )

        found = platform.models.get("churn", registered.version)

        assert found == registered
        assert (found.run, found.metrics, found.tags, found.card) == (
            "run-1",
            {"auc": 0.8},
            {"team": "growth"},
            "# Churn",
        )
        assert found.stage is Stage.NONE
        assert found.registered_by == platform.actor
        assert found.signature["inputs"] == [{"name": "distance", "type": "double", "required": True}]

    def test_versions_are_never_numbered_twice(self, platform: Platform, artifact: Path) -> None:
        first = platform.models.register("churn", artifact)
        platform.models.delete("churn", first.version)

        assert platform.models.register("churn", artifact).version != first.version

    def test_a_promoted_version_is_found_in_its_new_stage(self, platform: Platform, artifact: Path) -> None:
        registered = platform.models.register("churn", artifact)

        promoted = platform.models.promote("churn", registered.version, to=Stage.CANDIDATE, reason="first run")

        assert promoted.stage is Stage.CANDIDATE
        assert platform.models.get("churn", registered.version) == promoted
        assert platform.models.get("churn", stage="candidate") == promoted

    def test_promoting_to_production_archives_the_displaced_version_in_the_same_entry(
        self, platform: Platform, artifact: Path
    ) -> None:
        first, second = in_production(platform, "churn", artifact, versions=2)

        last = platform.models.history("churn")[-1]

        assert set(last.changes) == {
            (second, Stage.STAGING, Stage.PRODUCTION),
            (first, Stage.PRODUCTION, Stage.ARCHIVED),
        }
        assert platform.models.get("churn", stage="production").version == second
        assert [version.version for version in platform.models.list("churn", stage="archived")] == [first]

    def test_stages_cannot_be_skipped(self, platform: Platform, artifact: Path) -> None:
        version = platform.models.register("churn", artifact).version

        with pytest.raises(InvalidMoveError, match=r"churn@.* is in stage 'none' and cannot move to 'production'"):
            platform.models.promote("churn", version, to="production")

    def test_rollback_brings_back_what_was_displaced_and_again_what_was_before(
        self, platform: Platform, artifact: Path
    ) -> None:
        first, second, third = in_production(platform, "churn", artifact, versions=3)

        assert platform.models.rollback("churn", reason="late alarms").version == second
        assert platform.models.get("churn", third).stage is Stage.ARCHIVED
        assert platform.models.rollback("churn").version == first
        with pytest.raises(InvalidMoveError, match="no version to roll back to"):
            platform.models.rollback("churn")
        assert platform.models.get("churn", stage="production").version == first

    def test_the_ledger_says_what_was_in_production_at_any_time(self, platform: Platform, artifact: Path) -> None:
        first, second = in_production(platform, "churn", artifact, versions=2)
        platform.models.rollback("churn")
        moves = [entry for entry in platform.models.history("churn") if "production" in str(entry.changes)]

        found = [platform.models.at("churn", Stage.PRODUCTION, entry.at) for entry in moves]

        assert found == [first, second, first]
        assert platform.models.at("churn", "production", moves[0].at - timedelta(microseconds=1)) is None
        assert platform.models.at("churn", "production", datetime.now(UTC) + timedelta(days=1)) == first

    def test_a_stale_expectation_is_a_conflict_that_says_who_and_when(self, platform: Platform, artifact: Path) -> None:
        in_production(platform.acting_as("alice"), "churn", artifact)
        second = platform.models.register("churn", artifact).version
        for stage in (Stage.CANDIDATE, Stage.STAGING):
            platform.models.promote("churn", second, to=stage)

        with pytest.raises(ConflictError, match=r"version 1 .* is in production, not 'none'.* by alice .* UTC"):
            platform.models.promote("churn", second, to=Stage.PRODUCTION, expect="")
        assert platform.models.promote("churn", second, to="production", expect="1").stage is Stage.PRODUCTION

    def test_all_unmet_policies_are_listed_and_then_named_in_the_entry(
        self, platform: Platform, artifact: Path
    ) -> None:
        alice = _with_policies(platform, "alice")
        version = alice.models.register("churn", artifact, metrics={"auc": 0.7}).version
        for stage in (Stage.CANDIDATE, Stage.STAGING):
            alice.models.promote("churn", version, to=stage)

        with pytest.raises(InvalidMoveError) as refused:
            alice.models.promote("churn", version, to=Stage.PRODUCTION)
        approval = alice.acting_as("bob").models.approve("churn", version, to=Stage.PRODUCTION, reason="looks right")
        evidence = {"metrics": {"auc": 0.9, "recall": 0.6}, "baseline": {"auc": 0.8}, "run": "run-2", "reports": ["r"]}
        alice.models.promote("churn", version, to=Stage.PRODUCTION, evidence=evidence)

        assert len(refused.value.faults) == 3
        entry = alice.models.history("churn")[-1]
        assert entry.approvals == (approval.sequence,)
        assert [policy.partition("(")[0] for policy in entry.policies] == [
            "requires_approvals",
            "beats_baseline",
            "metric_at_least",
        ]
        assert entry.evidence is not None
        assert entry.evidence.metrics == evidence["metrics"]

    def test_neither_registrar_nor_promoter_can_approve(self, platform: Platform, artifact: Path) -> None:
        alice = _with_policies(platform, "alice")
        bob = alice.acting_as("bob")
        version = alice.models.register("churn", artifact).version
        for stage in (Stage.CANDIDATE, Stage.STAGING):
            alice.models.promote("churn", version, to=stage)

        with pytest.raises(
            InvalidRequestError, match=r"alice .* registered churn@1, so an approval of theirs would not"
        ):
            alice.models.approve("churn", version, to=Stage.PRODUCTION)
        bob.models.approve("churn", version, to=Stage.PRODUCTION)
        with pytest.raises(InvalidMoveError, match=r"0 of 1; by who registered or promotes it, not counted: bob"):
            bob.models.promote("churn", version, to=Stage.PRODUCTION)

    def test_tags_of_concurrent_writers_are_all_kept(self, platform: Platform, artifact: Path) -> None:
        version = platform.models.register("churn", artifact, tags={"old": "1"}).version
        together = Barrier(3)

        def tag(writer: int) -> None:
            own = platform.acting_as(f"writer-{writer}")
            together.wait()
            for number in range(8):
                own.models.tag("churn", version, {f"{writer}-{number}": "x"})

        _in_threads(tag, 3)
        platform.models.untag("churn", version, ["old"])

        assert set(platform.models.get("churn", version).tags) == {f"{w}-{n}" for w in range(3) for n in range(8)}
        assert platform.models.list(tags={"1-1": "x"}) == [platform.models.get("churn", version)]

    def test_of_concurrent_promotions_one_stands_at_a_time(self, platform: Platform, artifact: Path) -> None:
        versions = [platform.models.register("churn", artifact).version for _ in range(3)]
        for version in versions:
            for stage in (Stage.CANDIDATE, Stage.STAGING):
                platform.models.promote("churn", version, to=stage)
        together = Barrier(3)
        refused = []

        def promote(number: int) -> None:
            own = platform.acting_as(f"promoter-{number}")
            together.wait()
            try:
                own.models.promote("churn", versions[number], to=Stage.PRODUCTION, expect="")
            except ConflictError as error:
                refused.append(error)

        _in_threads(promote, 3)

        assert len(refused) == 2
        assert len(platform.models.list("churn", stage=Stage.PRODUCTION)) == 1
        assert platform.models.verify("churn").ok

    def test_downloaded_files_are_those_that_were_registered(
        self, platform: Platform, artifact: Path, tmp_path: Path
    ) -> None:
        version = platform.models.register("churn", artifact).version

        folder = platform.models.download("churn", version, to=tmp_path / "out")

        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert files == {"MLmodel": _SIGNATURE.encode(), "data/weights.bin": b"weights"}

    def test_a_version_in_production_cannot_be_deleted(self, platform: Platform, artifact: Path) -> None:
        (version,) = in_production(platform, "churn", artifact)

        with pytest.raises(InvalidMoveError, match=f"churn@{version} is in production and cannot be deleted"):
            platform.models.delete("churn", version)

    def test_a_deleted_version_is_gone_and_its_history_stays(self, platform: Platform, artifact: Path) -> None:
        version = platform.models.register("churn", artifact).version

        platform.models.delete("churn", version, reason="wrong data")
        platform.models.delete("churn", version)

        with pytest.raises(NotFoundError, match=r"was deleted by .* wrong data"):
            platform.models.get("churn", version)
        assert platform.models.list("churn") == []
        assert [entry.kind for entry in platform.models.history("churn")] == [
            EntryKind.REGISTERING,
            EntryKind.REGISTERED,
            EntryKind.DELETED,
        ]
        assert platform.models.verify("churn").ok

    def test_rolling_back_to_a_deleted_version_is_refused(self, platform: Platform, artifact: Path) -> None:
        first, second = in_production(platform, "churn", artifact, versions=2)
        platform.models.delete("churn", first)

        with pytest.raises(InvalidMoveError, match=rf"cannot roll back to churn@{first}: it was deleted"):
            platform.models.rollback("churn")
        assert platform.models.get("churn", stage="production").version == second

    def test_the_same_request_is_the_same_version(self, platform: Platform, artifact: Path) -> None:
        first = platform.models.register("churn", artifact, request="nightly-7")

        assert platform.models.register("churn", artifact, request="nightly-7") == first
        assert platform.models.register("churn", artifact, request="nightly-8") != first

    def test_what_an_event_handler_does_twice_happens_once(self, platform: Platform, artifact: Path) -> None:
        versions = set()
        for _ in range(2):
            with handling("validate/churn-1"):
                versions.add(platform.models.register("churn", artifact).version)
                platform.models.promote("churn", "1", to=Stage.CANDIDATE)

        assert versions == {"1"}
        assert [entry.kind for entry in platform.models.history("churn")] == [
            EntryKind.REGISTERING,
            EntryKind.REGISTERED,
            EntryKind.MOVED,
        ]

    def test_a_record_that_disagrees_is_found_and_drawn_again(self, platform: Platform, artifact: Path) -> None:
        (version,) = in_production(platform, "churn", artifact)
        port = platform._backends.models  # noqa: SLF001 somebody edits the provider's records behind our back
        port.project("churn", [type(port.projected("churn")[version])(version=version, stage=Stage.NONE, revision=1)])

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

        assert [problem.version for problem in found.problems] == [version]
        assert "the ledger says 'production'" in found.problems[0].message
        assert repaired.ok
        assert "drawn again" in repaired.repaired[0]
        assert port.projected("churn")[version].stage is Stage.PRODUCTION

    def test_what_does_not_exist_is_named(self, platform: Platform, artifact: Path) -> None:
        platform.models.register("churn", artifact)

        with pytest.raises(NotFoundError, match=r"model 'churn' has no version '9'\n  Its versions: 1\."):
            platform.models.promote("churn", "9", to=Stage.CANDIDATE)
        with pytest.raises(NotFoundError, match="there is no model 'chrun'"):
            platform.models.get("chrun", "1")
        with pytest.raises(NotFoundError, match="no version of model 'churn' is in stage 'production'"):
            platform.models.get("churn", stage="production")
        with pytest.raises(InvalidRequestError, match="'prod' is not a stage\n  Stages: none, candidate, staging"):
            platform.models.promote("churn", "1", to="prod")

    def test_a_wrong_registration_lists_all_its_faults_and_writes_nothing(
        self, platform: Platform, tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidRequestError) as refused:
            platform.models.register("Churn!", tmp_path / "nowhere", metrics={"auc": float("nan")}, tags={"": "x"})

        assert len(refused.value.faults) == 4
        assert "mlflow.*.save_model" in refused.value.hint
        assert platform.models.list() == []


def _with_policies(platform: Platform, actor: str) -> Platform:
    policies: Policies = {Stage.PRODUCTION: [RequiresApprovals(1), BeatsBaseline("auc"), MetricAtLeast("recall", 0.5)]}
    return Platform(platform._backends, policies=policies).acting_as(actor)  # noqa: SLF001 the rig's own backends


def _in_threads(work: Callable[[int], None], count: int) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 carried to the test's own thread
            failures.append(error)

    threads = [Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
