"""Promotion to production can require approvals by holders of the role approver, as Entra's assignments say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import pytest

from cloudmlops import Platform, RequiresApprovals, connect
from cloudmlops.domain.access import Role
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.errors import InvalidMoveError, PermissionDeniedError
from cloudmlops.providers.azureml.mapping.access import permissions_of
from cloudmlops.providers.azureml.mapping.roles import FROM_LEAST, includes
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.testing.contract.models import written_model

from .conftest import GROUP, Opened
from .custom_roles import role_of

POLICIES = {Stage.PRODUCTION: [RequiresApprovals(1, role=Role.APPROVER)]}
As = Callable[[str], Platform]


@pytest.fixture
def acting(opened: Opened, as_somebody: Callable[[str], None]) -> Iterator[As]:
    """Connects to the test's workspace as somebody, with the policy."""
    kept: dict[str, Platform] = {}
    target = opened().settings.target

    def platform(who: str) -> Platform:
        if who not in kept:
            as_somebody(who)
            kept[who] = connect(target, policies=POLICIES)
            kept[who].actor  # noqa: B018 asked while the environment says who it is
            as_somebody("owner")
        return kept[who]

    yield platform
    for one in kept.values():
        one.close()


@pytest.fixture
def staged(acting: As, tmp_path: Path) -> Platform:
    """The owner's platform, with version 1 of `churn` in staging."""
    owner = acting("owner")
    owner.models.register("churn", written_model(tmp_path / "model"))
    for stage in (Stage.CANDIDATE, Stage.STAGING):
        owner.models.promote("churn", "1", to=stage, reason="good")
    return owner


@contextmanager
def letting(cloud: AzureCloud, name: str, *verbs: str) -> Iterator[None]:
    """Let somebody do some verbs, by a role of exactly their actions."""
    known = permissions_of(AzureMLSettings(subscription=SUBSCRIPTION, resource_group="any", workspace="any"))
    who = cloud.tokens.directory.by_name(name).object_id
    made = cloud.access.assign("/", who, role_of(cloud, [one.name for verb in verbs for one in known[verb]]))
    yield
    cloud.access.unassign(made["name"])


def test_an_approval_by_who_has_the_role_lets_a_version_into_production(staged: Platform, acting: As) -> None:
    with pytest.raises(InvalidMoveError, match="1 of 1 policies unmet"):
        staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good")
    acting("approver").models.approve("churn", "1", to=Stage.PRODUCTION, reason="looked at it")

    assert staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good").stage is Stage.PRODUCTION
    assert staged.models.history("churn")[-1].policies == ("requires_approvals(1, by approver)",)


def test_an_approval_by_who_lacks_the_role_does_not_count_though_it_could_be_written(
    staged: Platform, acting: As, cloud: AzureCloud
) -> None:
    worker = cloud.tokens.directory.by_name("worker").object_id
    with letting(cloud, "worker", "models.approve"):
        acting("worker").models.approve("churn", "1", to=Stage.PRODUCTION, reason="looked at it")

    with pytest.raises(InvalidMoveError) as caught:
        staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good")
    assert f"by who does not hold the role approver, not counted: {worker}" in caught.value.faults[0]


def test_who_may_only_read_cannot_approve_at_all(staged: Platform, acting: As) -> None:
    assert staged.models.get("churn", "1").stage is Stage.STAGING
    with pytest.raises(PermissionDeniedError):
        acting("reader").models.approve("churn", "1", to=Stage.PRODUCTION, reason="looked at it")


def test_a_role_counts_from_when_it_is_granted_until_it_is_revoked(
    staged: Platform, acting: As, cloud: AzureCloud
) -> None:
    worker = cloud.tokens.directory.by_name("worker").object_id
    staged.access.grant(Role.APPROVER, worker)
    acting("worker").models.approve("churn", "1", to=Stage.PRODUCTION, reason="looked at it")
    staged.access.revoke(Role.APPROVER, worker)
    with pytest.raises(InvalidMoveError, match="1 of 1 policies unmet"):
        staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good")

    staged.access.grant(Role.APPROVER, worker)
    assert staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good").stage is Stage.PRODUCTION
    staged.access.revoke(Role.APPROVER, worker)


def test_who_says_to_be_an_approver_is_none(staged: Platform, cloud: AzureCloud) -> None:
    approver = cloud.tokens.directory.by_name("approver").object_id
    staged.acting_as(approver).models.approve("churn", "1", to=Stage.PRODUCTION, reason="trust me")

    with pytest.raises(InvalidMoveError, match="policies unmet"):
        staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good")


def test_a_promoter_who_may_not_see_roles_is_told_so(staged: Platform, acting: As, cloud: AzureCloud) -> None:
    acting("approver").models.approve("churn", "1", to=Stage.PRODUCTION, reason="looked at it")

    with letting(cloud, "worker", "models.promote"), pytest.raises(PermissionDeniedError) as caught:
        acting("worker").models.promote("churn", "1", to=Stage.PRODUCTION, reason="good")
    assert "Granted by: Reader." in caught.value.hint
    assert staged.models.get("churn", "1").stage is Stage.STAGING


def test_larger_roles_hold_smaller_ones(opened: Opened, cloud: AzureCloud) -> None:
    ids = {name: cloud.tokens.directory.by_name(name).object_id for name in ("owner", "approver", "reader")}
    access = opened().access

    assert access.holders(Role.APPROVER, [*ids.values(), "ada@example.com"]) == {ids["owner"], ids["approver"]}
    assert access.holders(Role.APPROVER, []) == frozenset()
    contributor, reader = FROM_LEAST[-1], FROM_LEAST[0]
    assert includes([contributor], reader)
    assert not includes([reader], contributor)


@pytest.fixture
def worker(cloud: AzureCloud, acting: As) -> Iterator[Platform]:
    """A platform of somebody who may do nothing yet; what he and his groups are given goes with the test."""
    yield acting("worker")
    ours = cloud.tokens.directory.acting(cloud.tokens.directory.by_name("worker").object_id)
    for one in cloud.access.assignments():
        if one["properties"]["principalId"] in ours:
            cloud.access.unassign(one["name"])


def approve(platform: Platform) -> None:
    platform.models.approve("churn", "1", to=Stage.PRODUCTION, reason="looked at it")


def refused(platform: Platform) -> None:
    """See that nobody with the role has approved it."""
    with pytest.raises(InvalidMoveError, match="policies unmet"):
        platform.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good")
    assert platform.models.get("churn", "1").stage is Stage.STAGING


def test_a_role_that_is_given_to_a_group_is_held_by_who_is_in_it_for_as_long_as_the_group_holds_it(
    staged: Platform, worker: Platform, cloud: AzureCloud
) -> None:
    reviewers = cloud.tokens.directory.by_name("reviewers").object_id
    staged.access.grant(Role.APPROVER, reviewers)
    approve(worker)
    staged.access.revoke(Role.APPROVER, reviewers)
    refused(staged)

    staged.access.grant(Role.APPROVER, reviewers)
    assert staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good").stage is Stage.PRODUCTION


@pytest.mark.conformance(ci=True)
def test_a_role_that_is_made_up_of_ones_own_and_the_groups_parts_is_held(
    staged: Platform, worker: Platform, cloud: AzureCloud
) -> None:
    who, group = (cloud.tokens.directory.by_name(name).object_id for name in ("worker", "seniors"))
    above = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    for principal, name in ((who, "Storage Blob Data Contributor"), (group, "Reader")):
        role = cloud.access.role(name)
        assert role is not None
        cloud.access.assign(above, principal, role)
    approve(worker)

    assert staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good").stage is Stage.PRODUCTION


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}", True),
        (f"/subscriptions/{SUBSCRIPTION}", True),
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/elsewhere", False),
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP[:-1]}", False),
    ],
)
def test_a_role_counts_where_it_is_inherited_from_and_nowhere_else(
    staged: Platform, worker: Platform, cloud: AzureCloud, scope: str, *, counts: bool
) -> None:
    who = cloud.tokens.directory.by_name("worker").object_id
    with letting(cloud, "worker", "models.approve"):
        approve(worker)
    for name in ("Reader", "Storage Blob Data Contributor"):
        role = cloud.access.role(name)
        assert role is not None
        cloud.access.assign(scope, who, role)

    if counts:
        assert staged.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good").stage is Stage.PRODUCTION
    else:
        refused(staged)


def test_a_role_that_is_given_with_a_condition_is_not_held(
    staged: Platform, worker: Platform, cloud: AzureCloud
) -> None:
    who = cloud.tokens.directory.by_name("worker").object_id
    with letting(cloud, "worker", "models.approve"):
        approve(worker)
    for name, condition in (("Reader", ""), ("Storage Blob Data Contributor", "@Resource[name] StringEquals 'a'")):
        role = cloud.access.role(name)
        assert role is not None
        cloud.access.assign("/", who, role, condition=condition)

    refused(staged)


class Meanwhile:
    """A policy that is met, and does something the first time that it is looked at."""

    name = "meanwhile"

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.asked = 0

    def unmet(self, _: object) -> None:
        self.asked += 1
        if self.asked == 1:
            self.act()


def test_a_role_that_is_revoked_while_a_promotion_is_written_after_others_does_not_count(
    staged: Platform, worker: Platform, acting: As, cloud: AzureCloud, as_somebody: Callable[[str], None]
) -> None:
    who = cloud.tokens.directory.by_name("worker").object_id
    staged.access.grant(Role.APPROVER, who)
    approve(worker)

    def revoked_and_outrun() -> None:
        staged.access.revoke(Role.APPROVER, who)
        staged.models.tag("churn", "1", {"colour": "red"})

    meanwhile = Meanwhile(revoked_and_outrun)
    as_somebody("owner")
    with connect(staged.target, policies={Stage.PRODUCTION: [*POLICIES[Stage.PRODUCTION], meanwhile]}) as promoting:
        refused(promoting)
    assert meanwhile.asked == 2


@pytest.mark.conformance(ci=True)
def test_of_promotions_at_once_one_goes_through_and_the_policies_are_in_its_entry(
    staged: Platform, acting: As, as_somebody: Callable[[str], None]
) -> None:
    approve(acting("approver"))
    as_somebody("owner")
    begin = Barrier(2)

    def promote(target: str) -> str:
        with connect(target, policies=POLICIES) as platform:
            platform.models.get("churn", "1")
            begin.wait()
            try:
                return platform.models.promote("churn", "1", to=Stage.PRODUCTION, reason="good").stage.value
            except InvalidMoveError:
                return "refused"

    with ThreadPoolExecutor(2) as both:
        ended = sorted(both.map(promote, [staged.target] * 2))

    assert ended == ["production", "refused"]
    assert staged.models.history("churn")[-1].policies == ("requires_approvals(1, by approver)",)
    assert staged.models.get("churn", stage=Stage.PRODUCTION).version == "1"
