"""Rights on a topic of Event Grid: asked for where one is set, granted with the neutral roles, no more than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from cloudmlops import Platform
from cloudmlops.domain.access import Permission, Role
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.errors import PermissionDeniedError
from cloudmlops.providers.azureml.mapping.access import Where, permissions_of
from cloudmlops.providers.azureml.mapping.role_parts import parts_of, placed
from cloudmlops.providers.azureml.mapping.roles import FROM_LEAST, granted
from cloudmlops.providers.role_parts import roles_of
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened
from .custom_roles import role_of
from .event_grid import Namespace, drained, drift

Connected = Callable[..., Platform]
SEND = "Microsoft.EventGrid/events/send/action"
RECEIVE = "Microsoft.EventGrid/events/receive/action"


def of_events(needed: Iterable[Permission]) -> list[Permission]:
    return [one for one in needed if one.scope == Where.TOPIC]


def test_rights_on_a_topic_are_asked_for_where_there_is_one(opened: Opened, namespace: Namespace) -> None:
    def wanted(**settings: str) -> dict[str, set[str]]:
        known = permissions_of(opened(**settings).settings)
        return {verb: {one.name for one in of_events(needed)} for verb, needed in known.items()}

    assert set().union(*wanted().values()) == set()
    with_topic = wanted(topic=namespace.settings["topic"])
    assert with_topic["models.promote"] == with_topic["events.process"] == {SEND}
    assert with_topic["models.get"] == set()
    assert wanted(**namespace.settings)["events.process"] == {SEND, RECEIVE}


def test_the_roles_that_are_named_have_the_rights(opened: Opened, namespace: Namespace) -> None:
    settings = opened(**namespace.settings).settings
    by_name = {role.name: role for role in FROM_LEAST}
    for needed in permissions_of(settings).values():
        for one in of_events(needed):
            assert by_name[one.native_role].grants(one.name)
            assert granted([part for where, part in parts_of(settings)[one.role] if where is Where.TOPIC], one.name)


def test_who_has_each_role_is_known_by_it_with_a_topic_too(opened: Opened, namespace: Namespace) -> None:
    parts = placed(parts_of(opened(**namespace.settings).settings), {where: where.value for where in Where})
    for role in Role:
        assert roles_of(parts[role], parts) == [role]


def test_what_is_missing_on_the_topic_is_told_with_the_role_that_has_it(
    connected: Connected, namespace: Namespace
) -> None:
    asked = ["events.publish", "events.process"]
    assert connected(**namespace.settings).check_access(asked) == ()

    missing = connected("approver", **namespace.settings).check_access(asked)
    told = {(one.verb, one.permission.name, one.permission.native_role) for one in missing}
    assert {one for one in told if "EventGrid" in one[1]} == {
        ("events.publish", SEND, "EventGrid Data Sender"),
        ("events.process", SEND, "EventGrid Data Sender"),
        ("events.process", RECEIVE, "EventGrid Data Receiver"),
    }


@pytest.mark.parametrize(("role", "receives"), [(Role.DEPLOYER, True), (Role.TRAINER, False)])
def test_a_role_that_is_granted_lets_its_holder_use_the_topic_until_it_is_revoked(
    connected: Connected, cloud: AzureCloud, namespace: Namespace, role: Role, receives: bool
) -> None:
    owner, who = connected(**namespace.settings), cloud.tokens.directory.by_name("worker").object_id
    owner.access.grant(role, who)
    assert [grant.role for grant in owner.access.list() if grant.principal == who] == [role]

    worker = connected("worker", **namespace.settings)
    worker.events.publish(drift(worker))
    if receives:
        drained(worker, namespace)
    assert (namespace.waiting() == []) is receives

    owner.access.revoke(role, who)
    assert [one for one in cloud.access.assignments() if one["properties"]["principalId"] == who] == []
    with pytest.raises(PermissionDeniedError):
        worker.events.publish(drift(worker, "another"))


def test_verbs_need_no_more_on_the_topic_than_they_say(
    connected: Connected, opened: Opened, cloud: AzureCloud, namespace: Namespace, tmp_path: Path
) -> None:
    who, known = (
        cloud.tokens.directory.by_name("worker").object_id,
        permissions_of(opened(**namespace.settings).settings),
    )
    artifact = written_model(tmp_path / "model")
    acts: dict[str, Callable[[Platform], object]] = {
        "models.register": lambda at: at.models.register("churn", artifact),
        "models.promote": lambda at: at.models.promote("churn", "1", to=Stage.CANDIDATE, reason="good"),
        "events.publish": lambda at: at.events.publish(drift(at)),
        "events.process": lambda at: drained(at, namespace),
    }
    for verb, act in acts.items():
        made = cloud.access.assign("/", who, role_of(cloud, [one.name for one in known[verb]]))
        act(connected("worker", **namespace.settings))
        cloud.access.unassign(made["name"])
    assert namespace.waiting() == []
