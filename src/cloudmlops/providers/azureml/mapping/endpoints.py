"""Endpoints and deployments as Azure ML has them: names, the bodies of requests, splits, and back.

Names: 3 to 32 letters, digits and hyphens, a letter first and no hyphen last (learn.microsoft.com, "Manage resources
and quotas", endpoints and deployments). A deployment of ours may be called `v1`; there it is `cloudmlops-v1`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.endpoints import DeploymentState, DeploymentStatus, Scoring
from cloudmlops.errors import InvalidTrafficError
from cloudmlops.providers.azureml.mapping.roles import roles_with
from cloudmlops.providers.deployment_rules import listed
from cloudmlops.runtime.untracked import untracked

if TYPE_CHECKING:
    from azure.ai.ml.entities import ManagedOnlineDeployment, OnlineEndpoint

    from cloudmlops.providers.azureml.settings import AzureMLSettings
    from cloudmlops.providers.deployment_journal import Act

OURS: Final = "cloudmlops"
"""Tag of the endpoints that are ours."""
DEPLOYED_AS: Final = "cloudmlops-deployed-as"
"""Property of a deployment, which Azure does not let be changed, and a tag for who looks at it."""
ENVIRONMENT: Final = "cloudmlops-serving"
"""Name of the environment that our serving image is registered as."""
IN_WORK: Final = frozenset({"Creating", "Updating", "Scaling", "Deleting", "Provisioning"})
"""States that Azure leaves by itself."""
AUTH_MODES: Final[Mapping[str, str]] = {"aad_token": "AADToken", "aml_token": "AMLToken", "key": "Key"}
"""By the names that azure-ai-ml and our settings have."""
REQUEST_SECONDS: Final = 60
"""So long a deployment may take for an answer; Azure lets it be 180 at most, and 5 where nobody says."""
_MORE_SECONDS: Final = 30
"""So much longer we wait for an answer than Azure does."""
_SCORE: Final = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
_MOST_MIRRORED: Final = 50
"""Percent of the requests (learn.microsoft.com, "Safe rollout for online endpoints")."""
_BUSY_PERCENT: Final = 70
_IDLE_PERCENT: Final = 30
_AT_ONCE: Final = 100
"""Requests that one machine takes at once: our server queues them by itself. Azure's own number is 1."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_MACHINE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,63}")
_SHORTEST: Final = 3
_PREFIX: Final = f"{OURS}-"
_SERVER_PORT: Final = 8080
_REFUSED: Final = re.compile(r"AuthorizationFailed|AuthorizationPermissionMismatch|PermissionDeniedError|NOPERM")
"""What Azure Resource Manager, Blob storage, this library and Redis say of what may not be done."""
_STAYS: Final = "an identity of its own, which stays with the endpoint"
_READ_ONLY: Final = frozenset({"provisioningState", "scoringUri", "swaggerUri"})
_STATES: Final[Mapping[str, DeploymentState]] = {
    "Canceled": DeploymentState.FAILED,
    "Creating": DeploymentState.STARTING,
    "Deleting": DeploymentState.DRAINING,
    "Failed": DeploymentState.DEGRADED,
    "Scaling": DeploymentState.HEALTHY,
    "Succeeded": DeploymentState.HEALTHY,
    "Updating": DeploymentState.HEALTHY,
}
"""Of deployments that were healthy once: a change that failed leaves the one before at work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """An endpoint as Azure ML has it, with its deployments."""

    endpoint: OnlineEndpoint
    deployments: Sequence[ManagedOnlineDeployment]

    def of(self, act: Act) -> ManagedOnlineDeployment | None:
        """Return what an act has deployed."""
        return next((one for one in self.deployments if deployed_as(one) == act.deployed_as), None)

    def without(self, native: str) -> Shown:
        """Return it after a deployment has gone."""
        return Shown(endpoint=self.endpoint, deployments=[one for one in self.deployments if one.name != native])


def name_faults(endpoint: str, deployment: str, machine: str | None) -> list[str]:
    """List what Azure does not take of the names of an endpoint, a deployment and a size of machines."""
    said = "3 to 32 letters, digits and hyphens, a letter first and no hyphen last"
    faults = [] if _NAME.fullmatch(endpoint) else [f"endpoint name {endpoint!r} must be {said}: it is a host's name"]
    if not _NAME.fullmatch(native_name(deployment)):
        faults.append(f"deployment name {deployment!r} must be {said.replace('3', '1', 1)}")
    elif deployment.startswith(_PREFIX) and own_name(deployment) != deployment:
        faults.append(f"deployment name {deployment!r} stands for {own_name(deployment)!r}, which is too short there")
    if machine is not None and not _MACHINE.fullmatch(machine):
        faults.append(f"machine {machine!r} is no size of Azure's machines such as Standard_DS3_v2")
    return faults


def native_name(name: str) -> str:
    """Return what a deployment of ours is called in Azure."""
    return name if len(name) >= _SHORTEST else f"{_PREFIX}{name}"


def own_name(native: str) -> str:
    """Return what a deployment is called here."""
    short = native.removeprefix(_PREFIX)
    return short if native.startswith(_PREFIX) and 0 < len(short) < _SHORTEST else native


def endpoint_body(settings: AzureMLSettings, location: str) -> dict[str, Any]:
    """Return the request that makes an endpoint."""
    return {
        "location": location,
        "identity": (
            {"type": "UserAssigned", "userAssignedIdentities": {settings.endpoint_identity: {}}}
            if settings.endpoint_identity
            else {"type": "SystemAssigned"}
        ),
        "tags": {OURS: "endpoint"},
        "properties": {
            "authMode": AUTH_MODES[settings.auth_mode],
            "properties": {},
            "traffic": {},
            "mirrorTraffic": {},
        },
    }


def changed_endpoint(
    present: Mapping[str, Any], *, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the request that gives an endpoint another split; all else of it stays as it is.

    Args:
        present: What Azure shows of it.
        traffic: The split, by Azure's names.
        mirror: Who is to get copies of requests; None leaves that, but for who gets requests now.
    """
    known: Mapping[str, Any] = present["properties"]
    copied = mirror_of(present) if mirror is None else mirror
    identity: Mapping[str, Any] = present.get("identity") or {"type": "SystemAssigned"}
    assigned = identity.get("userAssignedIdentities")
    return {
        "location": present["location"],
        "tags": dict(present.get("tags") or {}),
        "identity": {
            "type": identity["type"],
            **({"userAssignedIdentities": {name: {} for name in assigned}} if assigned else {}),
        },
        "properties": {
            **{name: value for name, value in known.items() if name not in _READ_ONLY and value is not None},
            "traffic": dict(traffic),
            "mirrorTraffic": {name: share for name, share in copied.items() if not traffic.get(name)},
        },
    }


def environment(image: str) -> dict[str, Any]:
    """Return what `azure.ai.ml.entities.Environment` is made with for an image that serves."""
    routes = {
        name: {"port": _SERVER_PORT, "path": path}
        for name, path in (
            ("liveness_route", "/healthz"),
            ("readiness_route", "/healthz"),
            ("scoring_route", "/score"),
        )
    }
    version = hashlib.sha256(f"{image} {sorted(routes.items())}".encode()).hexdigest()[:12]
    return {
        "name": ENVIRONMENT,
        "version": version,
        "image": image,
        "inference_config": routes,
        "description": "Serves models of cloudmlops.",
    }


def client_id(endpoint: Mapping[str, Any]) -> str:
    """Return the client id of the user-assigned identity that an endpoint acts as; empty where it has none, or many."""
    assigned: Mapping[str, Any] = (endpoint.get("identity") or {}).get("userAssignedIdentities") or {}
    told = [str((one or {}).get("clientId") or "") for one in assigned.values()]
    return told[0] if len(told) == 1 else ""


def rights_lacking(endpoint: Mapping[str, Any], log: str) -> str:
    """Return what to do where a server's log tells that Azure refused it something; empty where it does not.

    Args:
        endpoint: As Azure shows it.
        log: The end of what the server wrote.
    """
    identity: Mapping[str, Any] = endpoint.get("identity") or {}
    assigned: Mapping[str, Any] = identity.get("userAssignedIdentities") or {}
    told = [str((one or {}).get("principalId") or "") for one in assigned.values()] or [
        str(identity.get("principalId") or "")
    ]
    if not _REFUSED.search(log) or len(told) != 1 or not told[0]:
        return ""
    which = "which endpoint_identity names" if assigned else _STAYS
    return (
        f"The server acts as the principal {told[0]}, {which}, and was refused what it asked for. Let it read: "
        f'platform.access.grant("reader", "{told[0]}"), and deploy again when that counts, within minutes.'
    )


def waits_for_rights(acts: Iterable[Act]) -> bool:
    """Say whether an endpoint is to stay though nothing is deployed: its own identity is to be given rights."""
    return any(_STAYS in act.failure for act in acts)


def deployment_body(act: Act, *, location: str, target: str, identity: str) -> dict[str, Any]:
    """Return the request that deploys.

    Args:
        act: What is asked for.
        location: Of the endpoint.
        target: The platform that features are looked up in.
        identity: Client id of the user-assigned identity that asks there; empty is the endpoint's own.
    """
    variables = {"CLOUDMLOPS_TARGET": target, **({"AZURE_CLIENT_ID": identity} if identity else {})}
    of_mlflow = {} if act.environment else untracked({})  # ours tells libraries by itself
    return {
        "location": location,
        "tags": {OURS: "deployment", DEPLOYED_AS: act.deployed_as},
        "sku": {"name": "Default", "capacity": act.replicas[0]},
        "properties": {
            "endpointComputeType": "Managed",
            "model": act.native_model,
            "properties": {DEPLOYED_AS: act.deployed_as},
            **({"environmentId": act.environment} if act.environment else {}),
            "environmentVariables": {**of_mlflow, **(variables if act.looks_up else {})},
            "instanceType": act.machine,
            "scaleSettings": {"scaleType": "Default"},
            "requestSettings": {
                "requestTimeout": f"PT{REQUEST_SECONDS}S",
                "maxConcurrentRequestsPerInstance": _AT_ONCE,
            },
        },
    }


def deployment_id(settings: AzureMLSettings, endpoint: str, native: str) -> str:
    """Return Azure's id of a deployment."""
    return f"{settings.workspace_id}/onlineEndpoints/{endpoint}/deployments/{native}"


def autoscaling_name(deployment: str) -> str:
    """Return the name of a deployment's autoscale setting, by its id: readable, and unique in the resource group."""
    parts = deployment.split("/")
    digest = hashlib.sha256(deployment.lower().encode()).hexdigest()[:8]
    return f"{OURS}-{parts[-3]}-{parts[-1]}-{digest}"


def autoscaling_body(act: Act, *, target: str, location: str) -> dict[str, Any]:
    """Return the request that lets a deployment's machines follow the load.

    Args:
        act: Which asks for (fewest, most) of them.
        target: The deployment's id.
        location: Of the workspace.
    """
    fewest, most = act.replicas
    return {
        "location": location,
        "tags": {OURS: "autoscaling"},
        "properties": {
            "enabled": True,
            "name": autoscaling_name(target),
            "targetResourceUri": target,
            "targetResourceLocation": location,
            "notifications": [],
            "profiles": [
                {
                    "name": "load",
                    "capacity": {"minimum": str(fewest), "maximum": str(most), "default": str(fewest)},
                    "rules": [
                        _rule(target, operator="GreaterThan", threshold=_BUSY_PERCENT, direction="Increase"),
                        _rule(target, operator="LessThan", threshold=_IDLE_PERCENT, direction="Decrease"),
                    ],
                }
            ],
        },
    }


def _rule(target: str, *, operator: str, threshold: int, direction: str) -> dict[str, Any]:
    return {
        "metricTrigger": {
            "metricName": "CpuUtilizationPercentage",
            "metricNamespace": "",
            "metricResourceUri": target,
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": "PT5M",
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": threshold,
        },
        "scaleAction": {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": "PT5M"},
    }


def traffic_of(endpoint: Mapping[str, Any]) -> dict[str, int]:
    """Return the split of an endpoint as Azure shows it, by Azure's names, without shares of 0."""
    return _shares(endpoint["properties"].get("traffic"))


def mirror_of(endpoint: Mapping[str, Any]) -> dict[str, int]:
    """Return who gets copies of an endpoint's requests, by Azure's names."""
    return _shares(endpoint["properties"].get("mirrorTraffic"))


def traffic_shown(shown: Shown) -> dict[str, int]:
    """Return an endpoint's split by Azure's names."""
    return _shares(shown.endpoint.traffic)


def mirror_shown(shown: Shown) -> dict[str, int]:
    """Return who gets copies of an endpoint's requests, by Azure's names."""
    return _shares(shown.endpoint.mirror_traffic)


def mirror(shown: Shown) -> dict[str, int]:
    """Return who gets copies of an endpoint's requests, by our names."""
    return {own_name(name): share for name, share in mirror_shown(shown).items()}


def check_mirror(endpoint: str, percent: int) -> None:
    """Raise `InvalidTrafficError` for a larger share than Azure mirrors."""
    if percent > _MOST_MIRRORED:
        raise InvalidTrafficError(
            f"{percent} % of the requests to endpoint {endpoint!r} cannot be mirrored: Azure ML mirrors at most "
            f"{_MOST_MIRRORED} %",
            hint="Give it a smaller percent, or a share of the traffic with endpoints.shift_traffic.",
        )


def split(shown: Shown) -> dict[str, int]:
    """Return an endpoint's split by our names."""
    return {own_name(name): share for name, share in traffic_shown(shown).items()}


def native_split(traffic: Mapping[str, int]) -> dict[str, int]:
    """Return a split by our names as Azure has it."""
    return {native_name(name): share for name, share in traffic.items() if share}


def scoring(shown: Shown, *, headers: Mapping[str, str], renew: Callable[[], None]) -> Scoring:
    """Return where and how to ask an endpoint for predictions."""
    return Scoring(
        url=str(shown.endpoint.scoring_uri),
        key="input_data",  # Azure's own server of MLflow models reads no other one, ours this one too
        headers=headers,
        timeout=timedelta(seconds=REQUEST_SECONDS + _MORE_SECONDS),
        status_header="ms-azureml-model-error-statuscode",
        renew=renew,
        refusal_hint=f"The caller lacks {_SCORE} on the endpoint (granted by: {' or '.join(roles_with([_SCORE]))}). "
        "platform.check_access(['endpoints.predict']) lists all that is missing.",
    )


def tags_of(entity: OnlineEndpoint | ManagedOnlineDeployment) -> dict[str, str]:
    """Return the tags of an endpoint or a deployment."""
    return dict(entity.tags or {})


def is_ours(tags: Mapping[str, str]) -> bool:
    """Say whether an endpoint with these tags was made by this library."""
    return OURS in tags


def known_by(tags: Mapping[str, str]) -> str:
    """Say what tells whose an endpoint is that is not ours."""
    return f"its tags are {listed(tags)}" if tags else "it has no tags"


def deployed_as(deployment: ManagedOnlineDeployment) -> str:
    """Return which act a deployment is of; empty when it was made by other tools."""
    kept = {**tags_of(deployment), **(deployment.properties or {})}  # who changes a deployment may leave out its tags
    return str(kept.get(DEPLOYED_AS, ""))


def state_of(entity: OnlineEndpoint | ManagedOnlineDeployment) -> str:
    """Return what Azure is doing, or has done, to an endpoint or a deployment."""
    told: object = entity.provisioning_state
    return str(getattr(told, "value", told))  # an enumeration's member, or a text that the SDK does not know


def operation_of(deployment: ManagedOnlineDeployment) -> str:
    """Return the address of the last operation on a deployment; empty where Azure does not tell."""
    return str((deployment.properties or {}).get("AzureAsyncOperationUri", ""))


def deployed_status(
    endpoint_name: str, shown: Shown, deployed: ManagedOnlineDeployment, act: Act | None
) -> DeploymentStatus:
    """Return how a deployment is; without an act it was made by other tools."""
    replicas = int(deployed.instance_count or 1)
    state = _STATES.get(state_of(deployed), DeploymentState.DEGRADED)
    name = own_name(str(deployed.name))
    model, version = _model(deployed)
    return DeploymentStatus(
        endpoint=endpoint_name,
        name=name,
        model=act.model if act else model,
        version=act.version if act else version,
        deployed_as=act.deployed_as if act else str(deployed.id),
        state=state,
        traffic_percent=split(shown).get(name, 0),
        replicas=replicas,
        # Azure ML does not tell how many answer.
        healthy_replicas=replicas if state is DeploymentState.HEALTHY else 0,
        restarts=0,
        created_at=datetime.fromisoformat(act.created_at) if act else made_at(deployed),
        machine=act.machine_asked if act else deployed.instance_type,
        announced=act.announced if act else True,
    )


def made_at(deployed: ManagedOnlineDeployment) -> datetime:
    """Return when a deployment was made."""
    context = deployed.creation_context
    told = context.created_at if context is not None else None
    return told.astimezone(UTC) if told is not None else datetime.fromtimestamp(0, UTC)


def _model(deployed: ManagedOnlineDeployment) -> tuple[str, str]:
    """Return name and version of what a deployment serves; empty ones where it serves no registered model."""
    found = re.search(r"/models/([^/]+)/versions/([^/]+)$", str(deployed.model or ""))
    return (found[1], found[2]) if found else ("", "")


def _shares(given: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: int(share) for name, share in (given or {}).items() if share}
