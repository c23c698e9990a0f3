"""Which of Azure's actions each verb needs, of what, as the settings of a platform say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cloudmlops.domain.access import Permission, Role
from cloudmlops.providers.azureml.mapping.roles import CONTAINERS, EVENTS, roles_with
from cloudmlops.providers.verbs import ASKED_WITHIN, PUBLISHING, PULLING

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings


class Where(StrEnum):
    """What permissions are asked of, and roles are given on."""

    WORKSPACE = "workspace"
    ACCOUNT = "storage account"
    TOPIC = "topic"
    FEATURE_STORE = "feature store"
    FEATURE_ACCOUNT = "storage account of the feature store"
    GROUP = "resource group"
    REGISTRY = "registry"
    REDIS = "Redis"


_ML: Final = "Microsoft.MachineLearningServices/workspaces"
_READ_BLOBS: Final = (f"{CONTAINERS}/blobs/read",)
_WRITE_BLOBS: Final = (*_READ_BLOBS, f"{CONTAINERS}/blobs/write", f"{CONTAINERS}/blobs/delete")
_READ: Final = (f"{_ML}/datastores/read", *_READ_BLOBS)
_WRITE: Final = (f"{_ML}/datastores/read", *_WRITE_BLOBS)
_MODEL: Final = (f"{_ML}/models/read", f"{_ML}/models/versions/read")
_DRAW: Final = (*_MODEL, f"{_ML}/models/versions/write")
_JOB: Final = (f"{_ML}/jobs/read", f"{_ML}/read", f"{_ML}/experiments/runs/read")
_CODE: Final = (
    f"{_ML}/codes/versions/read",
    f"{_ML}/codes/versions/write",
    f"{_ML}/codes/versions/startPendingUpload/action",
)
_RUN: Final = (
    *_JOB,
    f"{_ML}/jobs/write",
    f"{_ML}/experiments/runs/submit/action",
    *_CODE,
    f"{_ML}/components/versions/write",
    f"{_ML}/environments/read",
    f"{_ML}/environments/versions/write",
)
_SPARK: Final = (
    f"{_ML}/read",
    f"{_ML}/jobs/read",
    f"{_ML}/jobs/write",
    f"{_ML}/jobs/cancel/action",
    f"{_ML}/experiments/runs/submit/action",
    *_CODE,
    *_WRITE_BLOBS,
)
_ENDPOINT: Final = (f"{_ML}/onlineEndpoints/read", f"{_ML}/onlineEndpoints/deployments/read")
_SPLIT: Final = (*_ENDPOINT, f"{_ML}/onlineEndpoints/write")
_SERVE: Final = (f"{_ML}/read", f"{_ML}/environments/versions/write")
_FAILED: Final = (
    f"{_ML}/onlineEndpoints/deployments/getLogs/action",
    f"{_ML}/onlineEndpoints/deployments/delete",
    f"{_ML}/onlineEndpoints/delete",
)
_BATCH: Final = tuple(
    f"{_ML}/batchEndpoints/{what}"
    for what in ("read", "write", "deployments/read", "deployments/write", "deployments/delete", "jobs/write")
)
_SHOW_FEATURES: Final = (
    f"{_ML}/featuresets/read",
    f"{_ML}/featuresets/write",
    f"{_ML}/featurestoreentities/read",
    f"{_ML}/featurestoreentities/write",
)
_SOURCES: Final = (f"{_ML}/data/read", f"{_ML}/data/versions/read")

_VERBS: Final[Mapping[str, tuple[Role, tuple[str, ...]]]] = {
    "endpoints.delete": (Role.DEPLOYER, (*_ENDPOINT, f"{_ML}/onlineEndpoints/delete", *_WRITE)),
    "endpoints.deploy": (Role.DEPLOYER, (*_SPLIT, f"{_ML}/onlineEndpoints/deployments/write", *_MODEL, *_WRITE)),
    "endpoints.list": (Role.READER, (*_ENDPOINT, *_READ)),
    "endpoints.logs": (Role.DEPLOYER, (*_ENDPOINT, f"{_ML}/onlineEndpoints/deployments/getLogs/action", *_READ)),
    "endpoints.mirror_traffic": (Role.DEPLOYER, (*_SPLIT, *_WRITE)),
    "endpoints.predict": (Role.DEPLOYER, _ENDPOINT),
    "endpoints.predict_batch": (
        Role.TRAINER,
        (
            *_MODEL,
            *_BATCH,
            *_SERVE,
            f"{_ML}/codes/versions/read",
            f"{_ML}/codes/versions/startPendingUpload/action",
            f"{_ML}/codes/versions/write",
            f"{_ML}/experiments/runs/submit/action",
            f"{_ML}/jobs/cancel/action",
            f"{_ML}/jobs/read",
            *_WRITE,
        ),
    ),
    "endpoints.rollback": (Role.DEPLOYER, (*_SPLIT, *_WRITE)),
    "endpoints.shift_traffic": (Role.DEPLOYER, (*_SPLIT, *_WRITE)),
    "endpoints.status": (Role.READER, (*_ENDPOINT, *_READ)),
    "endpoints.undeploy": (Role.DEPLOYER, (*_SPLIT, f"{_ML}/onlineEndpoints/deployments/delete", *_WRITE)),
    "events.dead_letters": (Role.READER, _READ),
    "events.list": (Role.READER, _READ),
    "events.process": (Role.DEPLOYER, (*_WRITE, *_MODEL)),
    "events.publish": (Role.TRAINER, _WRITE),
    "events.replay": (Role.DEPLOYER, _WRITE),
    "events.retry": (Role.DEPLOYER, _WRITE),
    "events.run": (Role.DEPLOYER, (*_WRITE, *_MODEL)),
    "features.apply": (Role.TRAINER, _WRITE),
    "features.get": (Role.READER, _READ),
    "features.list": (Role.READER, _READ),
    "features.materialize": (Role.TRAINER, _READ),
    "features.online": (Role.READER, _READ),
    "features.push": (Role.TRAINER, _READ),
    "features.reader": (Role.READER, _READ),
    "features.skew": (Role.READER, _READ),
    "features.training_table": (Role.READER, _READ),
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
        (f"{_ML}/schedules/read", f"{_ML}/schedules/write", f"{_ML}/schedules/delete", *_READ),
    ),
    "pipelines.wait": (Role.TRAINER, (*_JOB, *_WRITE)),
}
_CALLS: Final[Mapping[str, str]] = {
    "aad_token": f"{_ML}/onlineEndpoints/score/action",
    "aml_token": f"{_ML}/onlineEndpoints/token/action",
    "key": f"{_ML}/onlineEndpoints/listKeys/action",
}
"""What lets somebody ask an endpoint, by the setting `auth_mode`."""
_AUTOSCALE: Final = "Microsoft.Insights/autoscaleSettings"
_AUTOSCALED: Final = "the number of replicas is a range"
_SUBMITTING: Final = frozenset({"pipelines.resume", "pipelines.run", "pipelines.schedule"})
_BY_SPARK: Final = frozenset({"features.materialize", "features.skew", "features.training_table"})
READING_REDIS: Final = ("get", "hvals")
"""Commands that reading features online takes."""
WRITING_REDIS: Final = (
    *("hvals", "hkeys", "hgetall", "hset", "hdel", "get", "set", "incrby", "scan", "unlink"),
    *("eval", "evalsha", "script|load", "time", "pexpireat", "persist"),
)
"""Commands that all verbs of features take, as docs/azureml.md lists them."""
_REDIS_POLICY: Final = "the data access policy Data Contributor of the cache"
_REGISTRY: Final = "azureml://registries/"


def permissions_of(settings: AzureMLSettings) -> Mapping[str, Sequence[Permission]]:
    """Return what each verb needs on a platform."""
    return {verb: tuple(dict.fromkeys(_needed(verb, settings))) for verb in _VERBS}


def verb_of(operation: str) -> str | None:
    """Return the verb that can be asked about before what is refused is tried again; None where there is none."""
    verb = ASKED_WITHIN.get(operation, operation)
    return verb if verb in _VERBS else None


def is_data(action: str) -> bool:
    """Say whether an action is one on data, which other actions of a role grant than those on resources."""
    return action.startswith((f"{CONTAINERS}/blobs/", EVENTS))


def registry_of(settings: AzureMLSettings) -> str:
    """Return the name of the registry that steps' environment lies in; empty where it lies in none."""
    return settings.environment.removeprefix(_REGISTRY).partition("/")[0] if _is_in_registry(settings) else ""


def _needed(verb: str, settings: AzureMLSettings) -> Iterator[Permission]:
    role, always = _VERBS[verb]
    yield from _of(role, always)
    for part in (_of_runs, _of_endpoints, _of_feature_store, _of_redis, _of_topic):
        yield from part(verb, role, settings)


def _of_runs(verb: str, role: Role, settings: AzureMLSettings) -> Iterator[Permission]:
    if settings.compute and verb in {*_SUBMITTING, "endpoints.predict_batch"}:
        yield from _of(role, (f"{_ML}/computes/read",))
        if settings.compute_machine:
            yield from _of(role, (f"{_ML}/computes/write",), when=f"there is no compute {settings.compute} yet")
    if verb in _SUBMITTING and _is_in_registry(settings):
        read = "Microsoft.MachineLearningServices/registries/assets/read"
        yield Permission(name=read, role=None, scope=Where.REGISTRY, native_role="AzureML Registry User")


def _of_endpoints(verb: str, role: Role, settings: AzureMLSettings) -> Iterator[Permission]:
    match verb:
        case "endpoints.deploy":
            if settings.serving == "image":
                yield from _of(role, _SERVE)
            yield from _of(role, _FAILED, when="a deployment fails, or one has failed before")
            yield from _of(None, (f"{_AUTOSCALE}/write",), Where.GROUP, when=_AUTOSCALED)
        case "endpoints.predict":
            yield from _of(role, (_CALLS[settings.auth_mode],))
        case "endpoints.undeploy" | "endpoints.delete":
            yield from _of(None, (f"{_AUTOSCALE}/delete",), Where.GROUP, when=_AUTOSCALED)


def _of_feature_store(verb: str, role: Role, settings: AzureMLSettings) -> Iterator[Permission]:
    if verb == "features.apply" and settings.feature_store:
        yield from _of(role, (f"{_ML}/datastores/read", *_SHOW_FEATURES), Where.FEATURE_STORE)
        yield from _of(role, _WRITE_BLOBS, Where.FEATURE_ACCOUNT)
    elif verb == "features.apply":
        yield from _of(role, (f"{_ML}/read",))
        yield from _of(role, _SHOW_FEATURES, when="the workspace is of kind FeatureStore")
    if verb == "features.apply" or verb in _BY_SPARK:
        yield from _of(role, _SOURCES, when="a source is no table of the platform: it may be a data asset")
    if verb in _BY_SPARK:
        yield from _of(Role.TRAINER, _SPARK, when=f"sources hold {settings.spark_from_mib} MiB or more")


def _of_redis(verb: str, role: Role, settings: AzureMLSettings) -> Iterator[Permission]:  # noqa: ARG001 no role has it
    if settings.redis_url is None or not settings.redis_url.startswith("rediss:"):
        return  # nobody proves there who asks
    reads, writes = verb in {"features.online", "features.reader"}, verb in {"features.materialize", "features.push"}
    for command in READING_REDIS if reads else WRITING_REDIS if writes else ():
        yield Permission(name=f"+{command}", role=None, scope=Where.REDIS, native_role=_REDIS_POLICY)


def _of_topic(verb: str, role: Role, settings: AzureMLSettings) -> Iterator[Permission]:
    if settings.topic and verb in PUBLISHING:
        yield from _of(role, (f"{EVENTS}send/action",), Where.TOPIC)
    if settings.event_subscription and verb in PULLING:
        yield from _of(role, (f"{EVENTS}receive/action",), Where.TOPIC)


def _of(role: Role | None, names: Iterable[str], where: Where | None = None, *, when: str = "") -> Iterator[Permission]:
    for name in names:
        usual = Where.ACCOUNT if is_data(name) else Where.WORKSPACE
        native = " or ".join(roles_with([name]))
        yield Permission(name=name, role=role, scope=where or usual, when=when, native_role=native)


def _is_in_registry(settings: AzureMLSettings) -> bool:
    return settings.environment.lower().startswith(_REGISTRY)


def redis_host(settings: AzureMLSettings) -> str:
    """Return the host of the cache; empty where there is none."""
    return urlsplit(settings.redis_url or "").hostname or ""
