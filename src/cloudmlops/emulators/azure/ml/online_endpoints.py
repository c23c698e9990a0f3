"""Online endpoints: addresses at which deployments score, and how requests are shared among them.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.26 to 1.32, and
azure-sdk-for-python, 1.1, `online_services`). How it refuses traffic that makes no sense is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import page_size, paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.endpoints import EndpointHosts, check_name, host_of, shown
from cloudmlops.emulators.azure.ml.identities import SYSTEM, identity_given
from cloudmlops.emulators.azure.ml.long_running import at_resource
from cloudmlops.emulators.azure.ml.views import tagged
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.azure.scoring.credentials import KINDS, Credentials
from cloudmlops.emulators.azure.scoring.fleet import Fleet
from cloudmlops.emulators.azure.scoring.service import SCORE
from cloudmlops.emulators.core.answering import Answer, answer_json

ENDPOINTS: Final = f"{WORKSPACE}/onlineEndpoints"
ENDPOINT: Final = f"{ENDPOINTS}/{{endpoint}}"
TYPE: Final = f"{PROVIDER}/workspaces/onlineEndpoints"
_MODES: Final = {mode.lower(): mode for mode in ("Key", "AMLToken", "AADToken")}
_WHOLE: Final = 100
_ORDERS: Final = ("CreatedTimeAsc", "CreatedTimeDesc")
_MOST_MIRRORED: Final = 50


class OnlineEndpoints:
    """The handlers."""

    def __init__(self, world: World, fleet: Fleet, credentials: Credentials) -> None:
        self._world = world
        self._fleet = fleet
        self._credentials = credentials
        self._hosts = EndpointHosts(world.surroundings.state, "onlineEndpoints")
        add = world.routes.add
        add("GET", ENDPOINTS, self.list)
        add("GET", ENDPOINT, self.get)
        add("PUT", ENDPOINT, self.put)
        add("DELETE", ENDPOINT, self.delete)
        add("POST", f"{ENDPOINT}/listKeys", self.list_keys)
        add("POST", f"{ENDPOINT}/regenerateKeys", self.regenerate_keys)
        add("POST", f"{ENDPOINT}/token", self.token)

    def resume(self) -> None:
        """Finish what an emulator that was before had begun."""
        for host, endpoint in list(self._hosts):
            found = self._world.resources.get(endpoint)
            state = found["properties"]["provisioningState"] if found is not None else ""
            if found is not None and state == "Deleting":
                self._end(found)
            elif found is not None and state != "Succeeded":
                self._provided(found["id"], host)

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = self._world.resources.directly_below(request.path)
        if name := request.query("name"):
            found = [one for one in found if one["name"] == name]
        if kind := request.query("computeType"):
            found = [one for one in found if one["kind"].lower() == kind.lower()]
        if tags := request.query("tags"):
            found = [one for one in found if tagged(one["tags"], tags)]
        if properties := request.query("properties"):
            found = [one for one in found if tagged(one["properties"].get("properties") or {}, properties)]
        order = request.query("orderBy", _ORDERS[0])
        if order not in _ORDERS:
            raise UserError("UNIMPLEMENTED", f"The order of endpoints by {order!r} is not emulated.")
        if order != _ORDERS[0]:
            found.reverse()
        return paged(request, [shown(one) for one in found], size=page_size(request, "count"))

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(shown(endpoint_of(self._world, request)))

    def put(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        name = request.names["endpoint"]
        check_name(name)
        known = self._world.resources.get(request.path)
        location = known["location"] if known else request.body.get("location") or workspace["location"]
        host = host_of(name, location)
        if not self._hosts.take(host, request.path) and known is None:
            raise UserError("ALREADY_EXISTS", f"The endpoint name {name} is taken in {location}.")
        kept = self._kept(request, known)
        operation = self._world.operations.start(request.path)
        headers = self._world.operations.followed(
            operation, request.names["subscription"], location, version=request.version
        )
        kept["properties"]["AzureAsyncOperationUri"] = headers["azure-asyncoperation"]
        tags = request.body.get("tags") or {}
        made, _ = self._world.resources.put(
            request.path,
            TYPE,
            kept,
            request.caller,
            tags=tags,
            location=location,
            kind="Managed",
            identity=self._identity(request, known),
        )
        answer = answer_json(shown(made), status=201 if known is None else 200, headers=at_resource(headers, request))
        self._after(operation, lambda: self._provided(request.path, host))
        return answer

    def delete(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            return Answer(status=204)
        found["properties"]["provisioningState"] = "Deleting"
        self._world.resources.update(found)
        return self._accepted(request, found["location"], lambda: self._end(found))

    def list_keys(self, request: ArmRequest) -> Answer:
        found = endpoint_of(self._world, request)
        if found["properties"]["authMode"] != "Key":
            raise UserError("INVALID_ARGUMENT", f"The endpoint {found['name']} has no keys: its authMode is another.")
        keys = self._credentials.keys(found["id"])
        return answer_json({"primaryKey": keys["Primary"], "secondaryKey": keys["Secondary"]})

    def regenerate_keys(self, request: ArmRequest) -> Answer:
        found = endpoint_of(self._world, request)
        kind = str(request.body.get("keyType", "")).capitalize()
        if found["properties"]["authMode"] != "Key" or kind not in KINDS:
            raise UserError("INVALID_ARGUMENT", f"There is no key {kind or 'without a type'} of this endpoint.")
        value = str(request.body.get("keyValue") or "")
        return self._accepted(request, found["location"], lambda: self._credentials.renew(found["id"], kind, value))

    def token(self, request: ArmRequest) -> Answer:
        found = endpoint_of(self._world, request)
        if found["properties"]["authMode"] != "AMLToken":
            raise UserError("INVALID_ARGUMENT", f"The endpoint {found['name']} has no tokens: its authMode is another.")
        return answer_json(self._credentials.token(found, workspace_of(self._world, request), request.caller))

    def _kept(self, request: ArmRequest, known: Mapping[str, Any] | None) -> dict[str, Any]:
        given: Mapping[str, Any] = request.body.get("properties") or {}
        mode = _MODES.get(str(given.get("authMode", "")).lower())
        if mode is None:
            raise UserError(
                "INVALID_ARGUMENT", f"The authMode {given.get('authMode')!r} is not one of Key, AMLToken, AADToken."
            )
        if known is not None and known["properties"]["authMode"] != mode:
            raise UserError("INVALID_ARGUMENT", "The authMode of an existing endpoint cannot be changed.")
        if given.get("compute"):
            raise UserError("UNIMPLEMENTED", "an endpoint on a Kubernetes compute is not emulated: only managed ones")
        deployments = {one["name"] for one in self._world.resources.directly_below(f"{request.path}/deployments")}
        traffic, mirrored = given.get("traffic") or {}, given.get("mirrorTraffic") or {}
        _check_traffic(traffic, mirrored, deployments)
        before = known["properties"] if known else {}
        return {
            "description": given.get("description"),
            "properties": {**(given.get("properties") or {}), "azureml.onlineendpointid": request.path.lower()},
            "scoringUri": before.get("scoringUri"),
            "swaggerUri": before.get("swaggerUri"),
            "authMode": mode,
            "provisioningState": "Updating" if known else "Creating",
            "compute": None,
            "traffic": traffic,
            "mirrorTraffic": mirrored,
            "publicNetworkAccess": given.get("publicNetworkAccess") or "Enabled",
        }

    def _identity(self, request: ArmRequest, known: Mapping[str, Any] | None) -> dict[str, Any]:
        """Give an endpoint its identities, which cannot be others later.

        That is documented (learn.microsoft.com, "Access Azure resources from an online endpoint with a managed
        identity"); the words of the refusal are not recorded.
        """
        given = request.body.get("identity") or {"type": SYSTEM}
        if known is not None and _who(given) != _who(known["identity"]):
            raise UserError("INVALID_ARGUMENT", "The identity of an existing endpoint cannot be changed.")
        return identity_given(self._world.tokens, request.path, given)

    def _provided(self, path: str, host: str) -> None:
        found = self._world.resources.get(path)
        if found is not None:
            found["properties"] |= {
                "scoringUri": f"https://{host}{SCORE}",
                "swaggerUri": f"https://{host}/swagger.json",
                "provisioningState": "Succeeded",
            }
            self._world.resources.update(found)

    def _end(self, endpoint: Mapping[str, Any]) -> None:
        for deployment in self._world.resources.directly_below(f"{endpoint['id']}/deployments"):
            self._fleet.stop(deployment["id"])
        self._world.resources.delete(endpoint["id"])
        self._world.tokens.system_identities.remove(endpoint["id"])
        self._credentials.forget(endpoint["id"])
        self._hosts.free(host_of(endpoint["name"], endpoint["location"]))

    def _accepted(self, request: ArmRequest, location: str, work: Callable[[], None]) -> Answer:
        headers = self._world.operations.begin(
            request.names["subscription"], location, request.path, work=work, version=request.version
        )
        return answer_json(None, status=202, headers=headers)

    def _after(self, operation: str, work: Callable[[], None]) -> None:
        """Do something when the operation has lasted as long as all do."""
        operations = self._world.operations

        def finish() -> None:
            work()
            operations.succeed(operation)

        if operations.stuck:
            return
        if operations.takes:
            self._world.surroundings.clock.after(operations.takes, finish)
        else:
            finish()


def endpoint_of(world: World, request: ArmRequest) -> dict[str, Any]:
    """Return the endpoint that a request is about.

    Raises:
        Refused: There is none of that name.
    """
    workspace = workspace_of(world, request)
    name = request.names["endpoint"]
    found = world.resources.get(f"{workspace['id']}/onlineEndpoints/{name}")
    if found is None:
        raise not_found("OnlineEndpointNotFound", f"Online endpoint {name} not found.")
    return found


def _who(identity: Mapping[str, Any]) -> tuple[bool, frozenset[str]]:
    """Return whether an identity is of the resource's own, and which user-assigned ones there are."""
    users = identity.get("userAssignedIdentities") or {}
    return SYSTEM in str(identity.get("type")), frozenset(one.lower() for one in users)


def _check_traffic(traffic: Mapping[str, Any], mirrored: Mapping[str, Any], deployments: set[str]) -> None:
    for name, share in (*traffic.items(), *mirrored.items()):
        if name not in deployments:
            raise UserError("INVALID_ARGUMENT", f"The traffic names the deployment {name}, which does not exist.")
        if not isinstance(share, int) or not 0 <= share <= _WHOLE:
            raise UserError("INVALID_ARGUMENT", f"The traffic of {name} is {share}, and no percentage.")
    if (total := sum(traffic.values())) not in (0, _WHOLE):
        raise UserError("INVALID_ARGUMENT", f"The traffic sums to {total}: it must be 100, or 0.")
    if len(mirrored) > 1:
        raise UserError("INVALID_ARGUMENT", "Only one deployment can receive mirrored traffic.")
    for name, share in mirrored.items():
        if share > _MOST_MIRRORED or traffic.get(name):
            raise UserError(
                "INVALID_ARGUMENT", f"{name} can receive at most 50 % of mirrored traffic, and then no live traffic."
            )
