"""Which of Azure's actions each verb needs, and which roles make up a neutral one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.access import Grant, Permission, Role
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.azureml.mapping.roles import (
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    COMPUTE_OPERATOR,
    CONTAINERS,
    DATA_SCIENTIST,
    EVENT_RECEIVER,
    EVENT_SENDER,
    EVENTS,
    READER,
    Definition,
    roles_with,
)

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings


class Where(StrEnum):
    """What a role is given on."""

    WORKSPACE = "workspace"
    ACCOUNT = "storage account"
    TOPIC = "topic"


Part = tuple[Where, Definition]
_SEES: Final[Sequence[Part]] = ((Where.WORKSPACE, READER), (Where.ACCOUNT, READER))
"""Sees also who has which roles, which `check_access` reads."""
PARTS: Final[Mapping[Role, Sequence[Part]]] = {
    Role.READER: (*_SEES, (Where.ACCOUNT, BLOB_READER)),
    Role.APPROVER: (*_SEES, (Where.ACCOUNT, BLOB_CONTRIBUTOR)),
    Role.DEPLOYER: (*_SEES, (Where.ACCOUNT, BLOB_CONTRIBUTOR), (Where.WORKSPACE, DATA_SCIENTIST)),
    Role.TRAINER: (
        *_SEES,
        (Where.ACCOUNT, BLOB_CONTRIBUTOR),
        (Where.WORKSPACE, DATA_SCIENTIST),
        (Where.WORKSPACE, COMPUTE_OPERATOR),
    ),
}
"""Azure's built-in roles. A neutral one is held by whoever holds all of its parts, and not those of a larger one: Azure
has no role that trains without deploying."""

Parts = Mapping[Role, Sequence[Part]]
_EVENT_PARTS: Final[Parts] = {
    Role.DEPLOYER: ((Where.TOPIC, EVENT_SENDER), (Where.TOPIC, EVENT_RECEIVER)),
    Role.TRAINER: ((Where.TOPIC, EVENT_SENDER),),
}
"""What belongs to a role besides, where events go to a topic."""
Held = frozenset[tuple[Where, str]]
"""Parts that somebody holds, by the ids of the definitions."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_ML: Final = "Microsoft.MachineLearningServices/workspaces"
_READ: Final = (f"{_ML}/datastores/read", f"{CONTAINERS}/blobs/read")
_WRITE: Final = (*_READ, f"{CONTAINERS}/blobs/write", f"{CONTAINERS}/blobs/delete")
_MODEL: Final = (f"{_ML}/models/read", f"{_ML}/models/versions/read")
_DRAW: Final = (*_MODEL, f"{_ML}/models/versions/write")
_JOB: Final = (f"{_ML}/jobs/read", f"{_ML}/read", f"{_ML}/experiments/runs/read")
_RUN: Final = (
    *_JOB,
    f"{_ML}/jobs/write",
    f"{_ML}/experiments/runs/submit/action",
    f"{_ML}/codes/versions/read",
    f"{_ML}/codes/versions/write",
    f"{_ML}/codes/versions/startPendingUpload/action",
    f"{_ML}/components/versions/write",
    f"{_ML}/computes/read",
    f"{_ML}/environments/read",
    f"{_ML}/environments/versions/write",
)
_ENDPOINT: Final = (f"{_ML}/onlineEndpoints/read", f"{_ML}/onlineEndpoints/deployments/read")
_SPLIT: Final = (*_ENDPOINT, f"{_ML}/onlineEndpoints/write")
_CLEAR: Final = (*_SPLIT, f"{_ML}/onlineEndpoints/deployments/delete", f"{_ML}/onlineEndpoints/delete")
"""What failed is removed, by whoever looks next."""
_SERVE: Final = (f"{_ML}/read", f"{_ML}/environments/versions/write")
_DEPLOY: Final = (
    *_CLEAR,
    *_SERVE,
    f"{_ML}/onlineEndpoints/deployments/write",
    f"{_ML}/onlineEndpoints/deployments/getLogs/action",
)
_BATCH: Final = tuple(
    f"{_ML}/batchEndpoints/{what}"
    for what in ("read", "write", "deployments/read", "deployments/write", "deployments/delete", "jobs/write")
)
_MAKE_FEATURES: Final = (
    f"{_ML}/read",
    f"{_ML}/featuresets/read",
    f"{_ML}/featuresets/write",
    f"{_ML}/featurestoreentities/read",
    f"{_ML}/featurestoreentities/write",
)
_SOURCES: Final = (f"{_ML}/data/read", f"{_ML}/data/versions/read")
"""What is no table of the platform may be a data asset."""

_VERBS: Final[Mapping[str, tuple[Role, tuple[str, ...]]]] = {
    "endpoints.delete": (Role.DEPLOYER, (*_ENDPOINT, f"{_ML}/onlineEndpoints/delete", *_WRITE)),
    "endpoints.deploy": (Role.DEPLOYER, (*_DEPLOY, *_MODEL, *_WRITE)),
    "endpoints.list": (Role.READER, (*_ENDPOINT, *_READ)),
    "endpoints.logs": (Role.DEPLOYER, (*_ENDPOINT, f"{_ML}/onlineEndpoints/deployments/getLogs/action", *_READ)),
    "endpoints.mirror_traffic": (Role.DEPLOYER, (*_SPLIT, *_WRITE)),
    "endpoints.predict": (Role.DEPLOYER, (*_ENDPOINT, f"{_ML}/onlineEndpoints/score/action")),
    "endpoints.predict_batch": (
        Role.TRAINER,
        (
            *_MODEL,
            *_BATCH,
            *_SERVE,
            f"{_ML}/codes/versions/read",
            f"{_ML}/codes/versions/startPendingUpload/action",
            f"{_ML}/codes/versions/write",
            f"{_ML}/computes/read",
            f"{_ML}/experiments/runs/submit/action",
            f"{_ML}/jobs/read",
            *_WRITE,
        ),
    ),
    "endpoints.rollback": (Role.DEPLOYER, (*_SPLIT, *_WRITE)),
    "endpoints.shift_traffic": (Role.DEPLOYER, (*_SPLIT, *_WRITE)),
    "endpoints.status": (Role.READER, (*_ENDPOINT, *_READ)),
    "endpoints.undeploy": (Role.DEPLOYER, (*_CLEAR, *_WRITE)),
    "events.dead_letters": (Role.READER, _READ),
    "events.list": (Role.READER, _READ),
    "events.process": (Role.DEPLOYER, (*_WRITE, *_MODEL)),
    "events.publish": (Role.TRAINER, _WRITE),
    "events.replay": (Role.DEPLOYER, _WRITE),
    "events.retry": (Role.DEPLOYER, _WRITE),
    "events.run": (Role.DEPLOYER, (*_WRITE, *_MODEL)),
    "features.apply": (Role.TRAINER, (*_MAKE_FEATURES, *_SOURCES, *_WRITE)),
    "features.get": (Role.READER, _READ),
    "features.list": (Role.READER, _READ),
    "features.materialize": (Role.TRAINER, (*_SOURCES, *_READ)),
    "features.online": (Role.READER, _READ),
    "features.push": (Role.TRAINER, _READ),
    "features.reader": (Role.READER, _READ),
    "features.skew": (Role.READER, (*_SOURCES, *_READ)),
    "features.training_table": (Role.READER, (*_SOURCES, *_READ)),
    "features.view": (Role.READER, _READ),
    "features.write_table": (Role.TRAINER, _WRITE),
    "models.approve": (Role.APPROVER, (*_MODEL, *_WRITE)),
    "models.at": (Role.READER, (*_MODEL, *_READ)),
    "models.delete": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.download": (Role.READER, (*_MODEL, *_READ)),
    "models.get": (Role.READER, (*_MODEL, *_READ)),
    "models.history": (Role.READER, (*_MODEL, *_READ)),
    "models.list": (Role.READER, (*_MODEL, *_READ)),
    "models.names": (Role.READER, (*_MODEL, *_READ)),
    "models.promote": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.register": (Role.TRAINER, (*_DRAW, *_WRITE)),
    "models.repair": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.rollback": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.tag": (Role.TRAINER, (*_DRAW, *_WRITE)),
    "models.untag": (Role.TRAINER, (*_DRAW, *_WRITE)),
    "models.verify": (Role.READER, (*_MODEL, *_READ)),
    "pipelines.cancel": (Role.TRAINER, (*_JOB, f"{_ML}/jobs/cancel/action", *_WRITE)),
    "pipelines.get": (Role.READER, (*_JOB, *_READ)),
    "pipelines.list": (Role.READER, (*_JOB, *_READ)),
    "pipelines.logs": (Role.READER, (*_JOB, *_READ)),
    "pipelines.plan": (Role.READER, _READ),
    "pipelines.resume": (Role.TRAINER, (*_RUN, *_WRITE)),
    "pipelines.run": (Role.TRAINER, (*_RUN, *_WRITE)),
    "pipelines.schedule": (Role.TRAINER, (*_RUN, f"{_ML}/schedules/read", f"{_ML}/schedules/write", *_WRITE)),
    "pipelines.schedules": (Role.READER, (f"{_ML}/schedules/read", *_JOB, *_READ)),
    "pipelines.unschedule": (
        Role.TRAINER,
        (f"{_ML}/schedules/read", f"{_ML}/schedules/write", f"{_ML}/schedules/delete", *_WRITE),
    ),
    "pipelines.wait": (Role.TRAINER, (*_JOB, *_WRITE)),
}
PERMISSIONS: Final[Mapping[str, Sequence[Permission]]] = {
    verb: tuple(
        Permission(name=name, role=role, native_role=" or ".join(roles_with([name]))) for name in dict.fromkeys(names)
    )
    for verb, (role, names) in _VERBS.items()
}
"""What each verb needs."""
_SEND: Final = f"{EVENTS}send/action"
_RECEIVE: Final = f"{EVENTS}receive/action"
_SENDING: Final = frozenset(
    {
        "endpoints.deploy",
        "events.process",
        "events.publish",
        "events.run",
        "models.promote",
        "models.register",
        "models.rollback",
        "pipelines.resume",
        "pipelines.run",
        "pipelines.wait",
    }
)
_RECEIVING: Final = frozenset({"events.process", "events.run"})
_ASKED_WITHIN: Final[Mapping[str, str]] = {
    "endpoints.get": "endpoints.status",
    "events.receive": "events.process",
    "models.project": "models.promote",
}
"""What is asked within verbs, and the verb whose actions cover it."""


def permissions_of(settings: AzureMLSettings) -> Mapping[str, Sequence[Permission]]:
    """Return what each verb needs on a platform: topic and event subscription only where there is one."""
    if not settings.topic:
        return PERMISSIONS
    return {verb: (*needed, *_of_topic(verb, settings)) for verb, needed in PERMISSIONS.items()}


def parts_of(settings: AzureMLSettings) -> Parts:
    """Return what makes up each neutral role on a platform."""
    if not settings.topic:
        return PARTS
    return {role: (*parts, *_EVENT_PARTS.get(role, ())) for role, parts in PARTS.items()}


def verb_of(operation: str) -> str | None:
    """Return the verb that can be asked about before what is refused is tried again; None where there is none."""
    verb = _ASKED_WITHIN.get(operation, operation)
    return verb if verb in _VERBS else None


def is_principal(actor: str) -> bool:
    """Say whether an actor may be one that Entra knows."""
    return _UUID.fullmatch(actor) is not None


def checked_principal(principal: str) -> str:
    """Return a principal as assignments have it.

    Raises:
        InvalidRequestError: It is none that a role may be given to.
    """
    if not _UUID.fullmatch(principal):
        raise InvalidRequestError(
            f"{principal!r} is no principal that a role can be given to",
            hint="Write the object id in Entra of a user, group, service principal or managed identity: "
            "`az ad user show --id ada@example.com --query id`.",
        )
    return principal.lower()


def roles_of(held: Held, parts: Parts = PARTS) -> Sequence[Role]:
    """Return the neutral roles that somebody with some parts has: of those that include each other, the largest."""
    ids = {role: _ids(parts[role]) for role in Role}
    having = [role for role in Role if ids[role] <= held]
    return [role for role in having if not any(ids[role] < ids[other] for other in having)]


def to_take(held: Held, role: Role, parts: Parts = PARTS) -> Held:
    """Return the parts that go with a role of somebody's, who keeps what other roles of his need."""
    others = [_ids(parts[other]) for other in roles_of(held, parts) if other is not role]
    return (_ids(parts[role]) & held) - frozenset[tuple[Where, str]]().union(*others)


def grants(held: Mapping[str, Held], parts: Parts = PARTS) -> list[Grant]:
    """Return who holds which role, by principal."""
    return [Grant(principal=one, role=role) for one, has in sorted(held.items()) for role in roles_of(has, parts)]


def held_by(assigned: Iterable[tuple[str, Where, str]]) -> dict[str, Held]:
    """Collect parts by who holds them, from principals, places and ids of definitions."""
    held: dict[str, Held] = {}
    for principal, where, definition in assigned:
        held[principal] = held.get(principal, frozenset()) | {(where, definition)}
    return held


def of_data(permissions: Collection[Permission]) -> frozenset[Permission]:
    """Return those of some permissions that are asked of the storage account."""
    return frozenset(one for one in permissions if one.name.startswith(CONTAINERS))


def of_events(permissions: Collection[Permission]) -> frozenset[Permission]:
    """Return those of some permissions that are asked of the topic."""
    return frozenset(one for one in permissions if one.name.startswith(EVENTS))


def _of_topic(verb: str, settings: AzureMLSettings) -> Iterator[Permission]:
    role, _ = _VERBS[verb]
    if verb in _SENDING:
        yield Permission(name=_SEND, role=role, native_role=EVENT_SENDER.name)
    if verb in _RECEIVING and settings.event_subscription:
        yield Permission(name=_RECEIVE, role=role, native_role=EVENT_RECEIVER.name)


def _ids(parts: Sequence[Part]) -> Held:
    return frozenset((where, definition.id) for where, definition in parts)
