"""Which of Google's permissions each verb needs, and which IAM roles make up a neutral role."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.access import Grant, Permission, Role
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers import role_parts
from cloudmlops.providers.verbs import ASKED_WITHIN, PUBLISHING, PULLING

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.settings import VertexSettings

IAM_ROLES: Final[Mapping[Role, frozenset[str]]] = {
    Role.READER: frozenset(
        {
            "roles/aiplatform.viewer",
            "roles/bigquery.dataViewer",
            "roles/bigquery.jobUser",
            "roles/logging.viewer",
            "roles/storage.objectViewer",
        }
    ),
    Role.TRAINER: frozenset(
        {
            "roles/aiplatform.user",
            "roles/bigquery.dataEditor",
            "roles/bigquery.jobUser",
            "roles/iam.serviceAccountUser",
            "roles/logging.viewer",
            "roles/pubsub.publisher",
            "roles/storage.objectUser",
        }
    ),
    Role.DEPLOYER: frozenset(
        {
            "roles/aiplatform.user",
            "roles/bigquery.dataViewer",
            "roles/bigquery.jobUser",
            "roles/iam.serviceAccountUser",
            "roles/logging.viewer",
            "roles/pubsub.publisher",
            "roles/pubsub.subscriber",
            "roles/storage.objectUser",
        }
    ),
    Role.APPROVER: frozenset({"roles/aiplatform.viewer", "roles/pubsub.publisher", "roles/storage.objectUser"}),
}
"""Predefined roles of the project. Each neutral role is held by whoever holds all of its IAM roles."""


class Scope(StrEnum):
    """What permissions are asked of."""

    PROJECT = "project"
    BUCKET = "bucket"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    ACCOUNT = "service account"


_SCOPES: Final[Mapping[str, Scope]] = {
    "storage.": Scope.BUCKET,
    "pubsub.topics.": Scope.TOPIC,
    "pubsub.subscriptions.": Scope.SUBSCRIPTION,
    "iam.serviceAccounts.": Scope.ACCOUNT,
}
"""By how a permission's name begins; all others are asked of the project."""
Policy = Mapping[str, Any]
"""An IAM policy as the resource manager has it in JSON."""
_KINDS: Final = ("user", "serviceAccount", "group")
_PRINCIPAL: Final = re.compile(rf"(?:{'|'.join(_KINDS)}):[^\s:@,]+@[^\s:@,]+\.[^\s:@,.]+")

_READ: Final = ("storage.objects.get", "storage.objects.list")
_IN_PARTS: Final = ("storage.multipartUploads.abort", "storage.multipartUploads.create")
"""Files above 5 MiB go up in parts. Each predefined role that may create objects has these; a custom one may not."""
_WRITE: Final = (*_READ, *_IN_PARTS, "storage.objects.create", "storage.objects.delete")
_QUERY: Final = ("bigquery.jobs.create", "bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.list")
_MODEL: Final = ("aiplatform.models.get", "aiplatform.models.list")
_DRAW: Final = (*_MODEL, "aiplatform.models.update")
_STORE: Final = ("aiplatform.featureViews.get", "aiplatform.featureOnlineStores.get")
_MAKE_TABLES: Final = (
    "bigquery.datasets.create",
    "bigquery.datasets.get",
    "bigquery.tables.create",
    "bigquery.tables.update",
    "bigquery.tables.updateData",
)
_PASS_TABLES: Final = (*_MAKE_TABLES, "bigquery.tables.delete", "bigquery.tables.export")
_MAKE_FEATURES: Final = (
    *_STORE,
    "aiplatform.featureGroups.create",
    "aiplatform.featureGroups.get",
    "aiplatform.featureGroups.update",
    "aiplatform.featureOnlineStores.create",
    "aiplatform.featureViewSyncs.get",
    "aiplatform.featureViewSyncs.list",
    "aiplatform.featureViews.create",
    "aiplatform.featureViews.sync",
    "aiplatform.featureViews.update",
    "aiplatform.features.create",
    "aiplatform.features.get",
    "aiplatform.features.list",
    *_MAKE_TABLES,
)
_ENDPOINT: Final = ("aiplatform.endpoints.get", "aiplatform.endpoints.list")
_JOB: Final = ("aiplatform.pipelineJobs.get", "aiplatform.pipelineJobs.list")

_VERBS: Final[Mapping[str, tuple[Role, tuple[str, ...]]]] = {
    "endpoints.delete": (
        Role.DEPLOYER,
        (
            *_ENDPOINT,
            "aiplatform.endpoints.delete",
            "aiplatform.endpoints.undeploy",
            "aiplatform.endpoints.update",
            *_WRITE,
        ),
    ),
    "endpoints.deploy": (
        Role.DEPLOYER,
        (
            *_ENDPOINT,
            "aiplatform.endpoints.create",
            "aiplatform.endpoints.delete",
            "aiplatform.endpoints.deploy",
            "aiplatform.endpoints.undeploy",
            "aiplatform.endpoints.update",
            "logging.logEntries.list",
            *_MODEL,
            *_WRITE,
        ),
    ),
    "endpoints.list": (Role.READER, (*_ENDPOINT, *_READ)),
    "endpoints.logs": (Role.READER, (*_ENDPOINT, "logging.logEntries.list", *_READ)),
    "endpoints.predict": (Role.TRAINER, (*_ENDPOINT, "aiplatform.endpoints.predict")),
    "endpoints.predict_batch": (
        Role.TRAINER,
        (
            *_MODEL,
            "aiplatform.batchPredictionJobs.cancel",
            "aiplatform.batchPredictionJobs.create",
            "aiplatform.batchPredictionJobs.get",
            "aiplatform.batchPredictionJobs.list",
            *_WRITE,
        ),
    ),
    "endpoints.rollback": (Role.DEPLOYER, (*_ENDPOINT, "aiplatform.endpoints.update", *_WRITE)),
    "endpoints.shift_traffic": (Role.DEPLOYER, (*_ENDPOINT, "aiplatform.endpoints.update", *_WRITE)),
    "endpoints.status": (Role.READER, (*_ENDPOINT, *_READ)),
    "endpoints.undeploy": (
        Role.DEPLOYER,
        (*_ENDPOINT, "aiplatform.endpoints.undeploy", "aiplatform.endpoints.update", *_WRITE),
    ),
    "events.dead_letters": (Role.READER, _READ),
    "events.list": (Role.READER, _READ),
    "events.process": (Role.DEPLOYER, (*_WRITE, *_MODEL)),
    "events.publish": (Role.TRAINER, _WRITE),
    "events.replay": (Role.DEPLOYER, _WRITE),
    "events.retry": (Role.DEPLOYER, _WRITE),
    "events.run": (Role.DEPLOYER, (*_WRITE, *_MODEL)),
    "features.apply": (Role.TRAINER, (*_MAKE_FEATURES, *_QUERY, *_WRITE)),
    "features.get": (Role.READER, _READ),
    "features.list": (Role.READER, _READ),
    "features.materialize": (
        Role.TRAINER,
        (
            *_MAKE_FEATURES,
            "aiplatform.featureGroups.delete",
            "aiplatform.featureViews.delete",
            "aiplatform.featureViews.fetchFeatureValues",
            "bigquery.tables.delete",
            *_QUERY,
            *_WRITE,
        ),
    ),
    "features.online": (Role.READER, (*_STORE, "aiplatform.featureViews.fetchFeatureValues", *_READ)),
    "features.push": (
        Role.TRAINER,
        (
            *_MAKE_FEATURES,
            "aiplatform.featureViews.directWrite",
            "aiplatform.featureViews.fetchFeatureValues",
            *_QUERY,
            *_WRITE,
        ),
    ),
    "features.reader": (Role.READER, (*_STORE, "aiplatform.featureViews.fetchFeatureValues", *_READ)),
    "features.skew": (Role.TRAINER, (*_PASS_TABLES, *_QUERY, *_WRITE)),
    "features.training_table": (Role.TRAINER, (*_PASS_TABLES, *_QUERY, *_WRITE)),
    "features.view": (Role.READER, _READ),
    "features.write_table": (Role.TRAINER, (*_MAKE_TABLES, *_QUERY)),
    "models.approve": (Role.APPROVER, (*_MODEL, *_WRITE)),
    "models.at": (Role.READER, (*_MODEL, *_READ)),
    "models.delete": (Role.DEPLOYER, (*_DRAW, "aiplatform.models.delete", *_WRITE)),
    "models.download": (Role.READER, (*_MODEL, *_READ)),
    "models.get": (Role.READER, (*_MODEL, *_READ)),
    "models.history": (Role.READER, (*_MODEL, *_READ)),
    "models.list": (Role.READER, (*_MODEL, *_READ)),
    "models.names": (Role.READER, (*_MODEL, *_READ)),
    "models.promote": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.register": (Role.TRAINER, (*_DRAW, "aiplatform.models.upload", *_WRITE)),
    "models.repair": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.rollback": (Role.DEPLOYER, (*_DRAW, *_WRITE)),
    "models.tag": (Role.TRAINER, (*_DRAW, *_WRITE)),
    "models.untag": (Role.TRAINER, (*_DRAW, *_WRITE)),
    "models.verify": (Role.READER, (*_MODEL, *_READ)),
    "pipelines.cancel": (Role.TRAINER, (*_JOB, "aiplatform.pipelineJobs.cancel", *_WRITE)),
    "pipelines.get": (Role.READER, (*_JOB, *_READ)),
    "pipelines.list": (Role.READER, (*_JOB, *_READ)),
    "pipelines.logs": (Role.READER, (*_JOB, "logging.logEntries.list", *_READ)),
    "pipelines.plan": (Role.READER, _READ),
    "pipelines.resume": (
        Role.TRAINER,
        (*_JOB, "aiplatform.pipelineJobs.create", "aiplatform.pipelineJobs.cancel", *_WRITE),
    ),
    "pipelines.run": (
        Role.TRAINER,
        (*_JOB, "aiplatform.pipelineJobs.create", "aiplatform.pipelineJobs.cancel", *_WRITE),
    ),
    "pipelines.schedule": (
        Role.TRAINER,
        (
            *_JOB,
            "aiplatform.pipelineJobs.create",
            "aiplatform.schedules.create",
            "aiplatform.schedules.delete",
            "aiplatform.schedules.list",
            "aiplatform.schedules.update",
            *_WRITE,
        ),
    ),
    "pipelines.schedules": (Role.READER, ("aiplatform.schedules.list", *_READ)),
    "pipelines.unschedule": (Role.TRAINER, ("aiplatform.schedules.list", "aiplatform.schedules.delete", *_READ)),
    "pipelines.wait": (Role.TRAINER, (*_JOB, *_WRITE)),
}

_PARTS: Final[Mapping[str, str]] = {**ASKED_WITHIN, "pipelines.log": "pipelines.logs"}
_PUBLISH: Final = "pubsub.topics.publish"
_CONSUME: Final = "pubsub.subscriptions.consume"
_ACT: Final = "iam.serviceAccounts.actAs"
_FROM_LEAST: Final = (Role.READER, Role.APPROVER, Role.TRAINER, Role.DEPLOYER)
_OTHERS: Final[Mapping[str, Role]] = {_PUBLISH: Role.TRAINER, _CONSUME: Role.DEPLOYER, _ACT: Role.TRAINER}
_ACTING: Final = frozenset(
    {"endpoints.deploy", "endpoints.predict_batch", "pipelines.resume", "pipelines.run", "pipelines.schedule"}
)


def permissions_of(settings: VertexSettings) -> Mapping[str, Sequence[Permission]]:
    """Return what each verb needs on a platform: topic, subscription and service account only where there is one."""
    return {
        verb: tuple(
            Permission(name=name, role=role, scope=scope_of(name))
            for name in dict.fromkeys((*names, *_of_settings(verb, settings)))
        )
        for verb, (role, names) in _VERBS.items()
    }


def _of_settings(verb: str, settings: VertexSettings) -> Iterator[str]:
    if settings.topic and verb in PUBLISHING:
        yield _PUBLISH
    if settings.subscription and verb in PULLING:
        yield _CONSUME
    if settings.service_account and verb in _ACTING:
        yield _ACT


def scope_of(permission: str) -> Scope:
    """Return the narrowest kind of resource that a permission may be granted on; a grant above counts there."""
    return next((scope for prefix, scope in _SCOPES.items() if permission.startswith(prefix)), Scope.PROJECT)


def verb_of(operation: str) -> str | None:
    """Return the verb that can be asked about before what is refused is tried again; None where there is none."""
    verb = _PARTS.get(operation, operation)
    return verb if verb in _VERBS else None


def role_of(permission: str) -> Role | None:
    """Return the least role that has a permission; None for one that no verb needs."""
    having = [role for role, names in _VERBS.values() if permission in names]
    return min(having, key=_FROM_LEAST.index, default=_OTHERS.get(permission))


def checked_principal(principal: str) -> str:
    """Return a principal as policies have it.

    Raises:
        InvalidRequestError: It is none that a role may be given to.
    """
    if not _PRINCIPAL.fullmatch(principal):
        raise InvalidRequestError(
            f"{principal!r} is no principal that a role can be given to",
            hint="Write user:ADDRESS, serviceAccount:ADDRESS or group:ADDRESS, such as user:ada@example.com.",
        )
    kind, _, address = principal.partition(":")
    return f"{kind}:{address.lower()}"


def with_role(policy: Policy, role: Role, principal: str) -> Policy | None:
    """Return a policy in which somebody holds a role; None when he does already."""
    wanted = IAM_ROLES[role] - _held(policy).get(principal, frozenset())
    if not wanted:
        return None
    bindings = []
    for binding in _bindings(policy):
        if binding["role"] in wanted and "condition" not in binding:
            wanted -= {binding["role"]}
            binding = {**binding, "members": [*binding.get("members", ()), principal]}
        bindings.append(binding)
    bindings += [{"role": name, "members": [principal]} for name in sorted(wanted)]
    return {**policy, "bindings": bindings}


def without_role(policy: Policy, role: Role, principal: str) -> Policy | None:
    """Return a policy without a role of somebody's, who keeps what other roles of his need; None when nothing goes."""
    gone = role_parts.to_take(_held(policy).get(principal, frozenset()), role, IAM_ROLES)
    if not gone:
        return None
    bindings = []
    for binding in _bindings(policy):
        if binding["role"] in gone and "condition" not in binding:
            members = [member for member in binding.get("members", ()) if _same(member) != principal]
            binding = {**binding, "members": members}
        if binding.get("members"):
            bindings.append(binding)
    return {**policy, "bindings": bindings}


def grants(policy: Policy) -> list[Grant]:
    """Return who holds which role, by name."""
    return role_parts.grants(_held(policy), IAM_ROLES)


def _bindings(policy: Policy) -> Sequence[Mapping[str, Any]]:
    bindings: Sequence[Mapping[str, Any]] = policy.get("bindings", ())
    return bindings


def _held(policy: Policy) -> Mapping[str, frozenset[str]]:
    """Return the IAM roles that each member holds without a condition."""
    held: dict[str, frozenset[str]] = {}
    for binding in _bindings(policy):
        if "condition" not in binding:
            for member in binding.get("members", ()):
                name = _same(member)
                held[name] = held.get(name, frozenset()) | {binding["role"]}
    return held


def _same(member: str) -> str:
    """Return a member with its address in lower case: e-mail addresses are the same in any."""
    kind, colon, address = member.partition(":")
    return f"{kind}{colon}{address.lower()}" if kind in _KINDS else member
