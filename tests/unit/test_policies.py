from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudmlops import connect
from cloudmlops.domain.access import Role
from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.domain.ledger import Approval, Evidence, Fold, Mark, Registration, VersionState
from cloudmlops.domain.models import Stage
from cloudmlops.domain.policies import (
    BeatsBaseline,
    MetricAtLeast,
    Policy,
    Proposal,
    RequiresApprovals,
    merged,
    policies_from,
    roles_asked,
)
from cloudmlops.errors import ConfigurationError, InvalidMoveError, UnsupportedError
from cloudmlops.testing.contract.models import written_model

NAN = float("nan")


def state(version: str, metrics: dict[str, float], approvals: tuple[Approval, ...] = ()) -> VersionState:
    alice = Mark(sequence=1, actor=Actor(id="alice"), at=datetime(2026, 1, 1, tzinfo=UTC))
    return VersionState(
        version=version,
        request="r",
        reserved=alice,
        registered=alice,
        registration=Registration(artifact_uri="x", manifest="y", metrics=metrics),
        approvals=approvals,
    )


def proposal(
    *,
    registered: dict[str, float] | None = None,
    production: dict[str, float] | None = None,
    metrics: dict[str, float] | None = None,
    baseline: dict[str, float] | None = None,
    approvals: tuple[tuple[str, Stage], ...] = (),
    approvers: frozenset[str] = frozenset(),
    kind: ActorKind = ActorKind.USER,
) -> Proposal:
    given = tuple(
        Approval(sequence=number, actor=Actor(id=who, kind=kind), stage=stage)
        for number, (who, stage) in enumerate(approvals)
    )
    mine = state("2", registered or {}, given)
    versions = {"1": state("1", production or {}), "2": mine}
    return Proposal(
        fold=Fold(model="churn", versions=versions, production=None if production is None else "1"),
        state=mine,
        to=Stage.PRODUCTION,
        actor=Actor(id="pam"),
        evidence=Evidence(metrics=metrics or {}, baseline=baseline or {}),
        holders={Role.APPROVER: approvers},
    )


BOB = ("bob", Stage.PRODUCTION)
EVE = ("eve", Stage.PRODUCTION)
BY_ROLE = RequiresApprovals(1, role="approver")


@pytest.mark.parametrize(
    ("policy", "asked", "unmet"),
    [
        (RequiresApprovals(1), proposal(approvals=(BOB,)), None),
        (RequiresApprovals(2), proposal(approvals=(BOB, BOB)), "1 of 2"),
        (RequiresApprovals(1), proposal(approvals=(("bob", Stage.STAGING),)), "0 of 1"),
        (RequiresApprovals(1), proposal(approvals=(("alice", Stage.PRODUCTION),)), "not counted: alice"),
        (RequiresApprovals(1), proposal(approvals=(("pam", Stage.PRODUCTION),)), "not counted: pam"),
        (BY_ROLE, proposal(approvals=(BOB, EVE), approvers=frozenset({"bob"})), None),
        (BY_ROLE, proposal(approvals=(EVE,), approvers=frozenset({"bob"})), "role approver, not counted: eve"),
        (BY_ROLE, proposal(approvals=(BOB,)), "0 of 1"),
        (BY_ROLE, proposal(approvals=(("pam", Stage.PRODUCTION),), approvers=frozenset({"pam"})), "not counted: pam"),
        (
            BY_ROLE,
            proposal(approvals=(BOB,), approvers=frozenset({"bob"}), kind=ActorKind.SELF_DECLARED),
            "not counted: bob",
        ),
        (RequiresApprovals(1), proposal(approvals=(BOB,), kind=ActorKind.SELF_DECLARED), None),
        (MetricAtLeast("auc", 0.8), proposal(registered={"auc": 0.8}), None),
        (MetricAtLeast("auc", 0.8), proposal(registered={"auc": 0.9}, metrics={"auc": 0.7}), "is 0.7, below 0.8"),
        (MetricAtLeast("auc", 0.8), proposal(metrics={"auc": NAN}), "is nan, below 0.8"),
        (MetricAtLeast("auc", 0.8), proposal(), "neither in the evidence nor registered"),
        (BeatsBaseline("auc"), proposal(metrics={"auc": 0.9}, baseline={"auc": 0.8}), None),
        (BeatsBaseline("auc"), proposal(metrics={"auc": 0.8}, baseline={"auc": 0.8}), "does not beat"),
        (BeatsBaseline("auc", by=0.25), proposal(metrics={"auc": 0.75}, baseline={"auc": 0.5}), None),
        (BeatsBaseline("auc", by=0.25), proposal(metrics={"auc": 0.7}, baseline={"auc": 0.5}), "0.5 by 0.25"),
        (BeatsBaseline("auc"), proposal(registered={"auc": 0.9}, production={"auc": 0.8}), None),
        (BeatsBaseline("auc"), proposal(metrics={"auc": 0.9}), "there is no baseline for 'auc'"),
        (BeatsBaseline("auc"), proposal(metrics={"auc": NAN}, baseline={"auc": 0.8}), "is nan and does not beat"),
        (BeatsBaseline("loss", lower_is_better=True), proposal(metrics={"loss": 1.0}, baseline={"loss": 2.0}), None),
        (BeatsBaseline("loss", lower_is_better=True), proposal(metrics={"loss": 2.0}, baseline={"loss": 1.0}), "is 2"),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else None,
)
def test_a_policy_says_why_it_is_unmet(policy: Policy, asked: Proposal, unmet: str | None) -> None:
    answer = policy.unmet(asked)

    assert (answer is None) if unmet is None else (answer is not None and unmet in answer)


def test_policies_are_read_from_the_configuration() -> None:
    table = {
        "production": [{"requires_approvals": 2}, {"beats_baseline": {"metric": "auc", "by": 0.01}}],
        "staging": [{"metric_at_least": {"metric": "auc", "value": 0.5}}],
    }

    assert policies_from(table, "cloudmlops.toml") == {
        Stage.PRODUCTION: [RequiresApprovals(2), BeatsBaseline("auc", by=0.01)],
        Stage.STAGING: [MetricAtLeast("auc", 0.5)],
    }


def test_a_role_that_approvers_must_hold_is_read_and_named() -> None:
    table = {"production": [{"requires_approvals": {"n": 2, "role": "approver"}}]}

    (policy,) = policies_from(table, "cloudmlops.toml")[Stage.PRODUCTION]
    assert policy == RequiresApprovals(2, role=Role.APPROVER)
    assert policy.name == "requires_approvals(2, by approver)"
    assert roles_asked([policy, RequiresApprovals(1), MetricAtLeast("auc", 0.5)]) == {Role.APPROVER}
    with pytest.raises(ConfigurationError, match="'boss' is not a role"):
        policies_from({"production": [{"requires_approvals": {"role": "boss"}}]}, "cloudmlops.toml")


def test_policies_of_two_sources_all_count() -> None:
    both = merged({Stage.PRODUCTION: [RequiresApprovals(1)]}, {Stage.PRODUCTION: [MetricAtLeast("auc", 0.5)]})

    assert both[Stage.PRODUCTION] == [RequiresApprovals(1), MetricAtLeast("auc", 0.5)]


def test_all_faults_of_configured_policies_are_listed() -> None:
    table = {"prod": [], "production": [{"requires_luck": 1}, {"metric_at_least": {"metrik": "auc"}}, "x"]}

    with pytest.raises(ConfigurationError) as refused:
        policies_from(table, "cloudmlops.toml")

    for fault in ("'prod' is not a stage", "no policy is named 'requires_luck'", "metrik", "'x' is not a table"):
        assert fault in str(refused.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RequiresApprovals(-1),
        lambda: RequiresApprovals(True),
        lambda: MetricAtLeast("", 0.5),
        lambda: MetricAtLeast("auc", "high"),  # type: ignore[arg-type]
        lambda: BeatsBaseline("auc", by=float("nan")),
        lambda: BeatsBaseline("auc", lower_is_better="no"),  # type: ignore[arg-type]
    ],
    ids=["negative", "truth", "no metric", "text", "nan", "direction"],
)
def test_a_policy_that_could_not_hold_anything_back_is_refused(make: Callable[[], Policy]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_a_configured_policy_holds_a_promotion_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cloudmlops.toml").write_text(
        "[policies]\ncandidate = [{metric_at_least = {metric = 'auc', value = 0.5}}]"
    )
    monkeypatch.chdir(tmp_path)
    with connect("local://:memory:") as platform:
        version = platform.models.register("churn", written_model(tmp_path / "artifact"), metrics={"auc": 0.4}).version

        with pytest.raises(
            InvalidMoveError, match=r"1 of 1 policies unmet\n  - metric_at_least\(auc, 0.5\): .* below 0.5"
        ):
            platform.models.promote("churn", version, to=Stage.CANDIDATE)
        assert platform.models.get("churn", version).stage is Stage.NONE


def test_a_role_is_asked_for_only_where_there_is_access_control(tmp_path: Path) -> None:
    with connect("local://:memory:", policies={Stage.CANDIDATE: [BY_ROLE]}) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        with pytest.raises(UnsupportedError, match="access"):
            platform.models.promote("churn", "1", to=Stage.CANDIDATE, reason="good")
        assert platform.models.get("churn", "1").stage is Stage.NONE
