"""Endpoints and deployments in Azure ML: read, made, split, removed, and waited for.

They are read, and their keys and logs asked for, through azure-ai-ml. What changes them is sent by ourselves: a change
is a PUT of all of an endpoint, of which the SDK (1.35) leaves out what it does not know and writes names of deployments
in small letters, and while it waits for a deployment or for an endpoint's end it writes dots to the standard output.

Azure takes one operation at a time on an endpoint and has no condition on writes: what is busy is waited for, and a
split is read back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cloudmlops.errors import ConflictError, NotFoundError, ServiceError, UnavailableError, WaitTimeoutError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import endpoints as mapping
from cloudmlops.providers.azureml.mapping.endpoints import Shown
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.providers.deployment_rules import not_ours

if TYPE_CHECKING:
    from azure.ai.ml.entities import ManagedOnlineDeployment

    from cloudmlops.providers.azureml.wire import Wire
    from cloudmlops.providers.deployment_journal import Act

_DONE = TypeVar("_DONE")
_VERSION: Final = "2024-10-01"
_WRITINGS: Final = 5
"""How often a split is written that somebody else's writing has undone."""
_SHORTEST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0
_PAUSES: Final = 10
"""Looks grow rarer: one lasts as long as a tenth of the time waited so far."""
_OPERATIONS: Final = "/mfeOperationsStatus/"


class Resources:
    """The endpoints and deployments of one workspace."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._settings = wire.settings
        self._location = ""

    def shown(self, endpoint: str) -> Shown | None:
        """Return an endpoint with its deployments as Azure has them; None when there is none."""
        client = self._wire.client
        try:
            found = self._wire.ask(
                lambda: client.online_endpoints.get(endpoint), operation="endpoints.get", resource=endpoint
            )
            deployments = self._wire.list(
                lambda: client.online_deployments.list(endpoint), operation="endpoints.get", resource=endpoint
            )
            return Shown(endpoint=found, deployments=list(deployments))
        except NotFoundError:
            return None

    def read(self, endpoint: str) -> dict[str, Any] | None:
        """Return all that Azure shows of an endpoint; None when there is none."""
        path = f"{self._path(endpoint)}?api-version={_VERSION}"
        try:
            answer = self._wire.send("GET", path, operation="endpoints.get", resource=endpoint)
        except NotFoundError:
            return None
        found: dict[str, Any] = answer.json()
        return found

    def names(self) -> list[str]:
        """Return the endpoints that are ours."""
        found = self._wire.list(
            lambda: self._wire.client.online_endpoints.list(),
            operation="endpoints.list",
            resource=self._settings.address,
        )
        return sorted(str(one.name) for one in found if mapping.is_ours(mapping.tags_of(one)))

    def make(self, endpoint: str) -> None:
        """Make an endpoint and wait until it is there; one of ours that is there is taken as it is.

        Raises:
            ConflictError: Somebody else has made one of that name.
            ServiceError: Azure refuses it, or what it began has failed.
            WaitTimeoutError: It is still being made.
        """
        if self.read(endpoint) is None:
            body = mapping.endpoint_body(self._settings, self.location())
            try:
                self._put(endpoint, body, operation="endpoints.deploy")
            except ConflictError:
                if self.read(endpoint) is None:
                    raise _taken(endpoint) from None
        present = self._rested(endpoint, operation="endpoints.deploy")
        if present is None:
            self.make(endpoint)  # it was being removed
            return
        check_ours(endpoint, present.get("tags") or {}, operation="endpoints.deploy")
        if present["properties"]["provisioningState"] == "Failed" and not present["properties"].get("scoringUri"):
            raise _failed(endpoint, self._why(endpoint, present), "endpoints.deploy")

    def deploy(self, endpoint: str, act: Act, target: str) -> str:
        """Begin to deploy at an endpoint that is there; return the address of the operation, empty if nobody tells.

        Raises:
            NotFoundError: The endpoint has been removed.
            ConflictError: Another deployment has that name.
        """
        path = f"{self._path(endpoint)}/deployments/{act.deployed_id}"
        identity = mapping.client_id(self.read(endpoint) or {}) if act.looks_up else ""
        body = mapping.deployment_body(act, location=self.location(), target=target, identity=identity)

        def put() -> str:
            about = f"{endpoint}/{act.name}"
            try:
                answer = self._wire.send(
                    "PUT", f"{path}?api-version={_VERSION}", body=body, operation="endpoints.deploy", resource=about
                )
            except (ConflictError, UnavailableError):  # it may have been begun all the same
                found = self.deployment(endpoint, act.deployed_id)
                if found is None or mapping.deployed_as(found) != act.deployed_as:
                    raise
                return mapping.operation_of(found)
            return str(answer.headers.get("azure-asyncoperation", ""))

        return self._when_idle(endpoint, put, operation="endpoints.deploy")

    def deployment(self, endpoint: str, native: str) -> ManagedOnlineDeployment | None:
        """Return a deployment; None when there is none."""
        client = self._wire.client
        try:
            found: ManagedOnlineDeployment = self._wire.ask(
                lambda: client.online_deployments.get(native, endpoint), operation="endpoints.get", resource=endpoint
            )
        except NotFoundError:
            return None
        return found

    def split(
        self,
        endpoint: str,
        traffic: Mapping[str, int],
        *,
        mirror: Mapping[str, int] | None = None,
        expected: Mapping[str, int] | None = None,
        operation: str = "endpoints.shift_traffic",
    ) -> None:
        """Split an endpoint's traffic, by Azure's names; when this returns, Azure shares requests so.

        Args:
            endpoint: Its name.
            traffic: The shares.
            mirror: Who is to get copies, by Azure's names; None leaves that.
            expected: The split that this follows from; None: from whatever there is.
            operation: The verb that it is for.

        Raises:
            NotFoundError: There is no such endpoint.
            ConflictError: Somebody else has split it otherwise meanwhile, or undoes this again and again.
            ServiceError: Azure began to, and failed.
        """
        before = expected
        for writing in range(_WRITINGS):
            present = self._rested(endpoint, operation=operation)
            if present is None:
                raise _unknown(endpoint, operation)
            check_ours(endpoint, present.get("tags") or {}, operation=operation)
            shares = mapping.traffic_of(present)
            if shares == traffic and (mirror is None or mapping.mirror_of(present) == mirror):
                return
            if writing and present["properties"]["provisioningState"] == "Failed":
                raise _failed(endpoint, self._why(endpoint, present), operation)
            if before is not None and shares not in (before, traffic):
                raise ConflictError(
                    f"somebody else has split the traffic of endpoint {endpoint!r} as {shares} meanwhile",
                    hint="Look at endpoints.status, and shift it again if that is still wanted.",
                    provider=PROVIDER,
                    operation=operation,
                    resource=endpoint,
                )
            before = shares
            body = mapping.changed_endpoint(present, traffic=traffic, mirror=mirror)
            self._when_idle(endpoint, partial(self._put, endpoint, body, operation=operation), operation=operation)
        raise ConflictError(
            f"somebody else undoes the split of endpoint {endpoint!r} whenever it is written",
            hint="Find who writes the endpoint as they read it before: a PUT of Azure's is of all of it.",
            provider=PROVIDER,
            operation=operation,
            resource=endpoint,
        )

    def begin_undeploy(self, endpoint: str, native: str, *, operation: str = "endpoints.undeploy") -> None:
        """Begin to remove a deployment that has no traffic; one that is gone is no error."""
        self._begin_removal(endpoint, f"{self._path(endpoint)}/deployments/{native}", operation)

    def undeploy(self, endpoint: str, native: str) -> None:
        """Remove a deployment that has no traffic, and wait until it is gone; one that is gone is no error."""
        self.begin_undeploy(endpoint, native)
        for _ in self._looks(endpoint, operation="endpoints.undeploy"):
            found = self.deployment(endpoint, native)
            if found is None:
                return
            if mapping.state_of(found) not in mapping.IN_WORK:
                why = self.outcome(mapping.operation_of(found), endpoint) or f"its state is {mapping.state_of(found)}"
                raise _failed(f"{endpoint}/{mapping.own_name(native)}", why, "endpoints.undeploy")

    def begin_removal(self, endpoint: str, *, operation: str = "endpoints.delete") -> None:
        """Begin to remove an endpoint with all that is deployed there; one that is gone is no error."""
        self._begin_removal(endpoint, self._path(endpoint), operation)

    def remove(self, endpoint: str) -> None:
        """Remove an endpoint with all that is deployed there, and wait until it is gone."""
        self.begin_removal(endpoint)
        for _ in self._looks(endpoint, operation="endpoints.delete"):
            if (present := self.read(endpoint)) is None:
                return
            if present["properties"]["provisioningState"] not in mapping.IN_WORK:
                raise _failed(endpoint, self._why(endpoint, present), "endpoints.delete")

    def logs(self, endpoint: str, native: str, lines: int) -> str:
        """Return what a deployment's machines wrote last; where the server wrote nothing, what fetched its files."""
        client, about = self._wire.client, f"{endpoint}/{mapping.own_name(native)}"

        def told(container: str) -> str:
            content: str = self._wire.ask(
                lambda: client.online_deployments.get_logs(native, endpoint, lines, container_type=container),
                operation="endpoints.logs",
                resource=about,
            )
            return content

        return told("inference-server") or told("storage-initializer")

    def outcome(self, uri: str, endpoint: str) -> str:
        """Return what an operation failed with, in Azure's words; empty where that is not known any more."""
        path = self._below(uri)
        if not path:
            return ""
        try:
            answer = self._wire.send("GET", path, operation="endpoints.status", resource=endpoint)
        except NotFoundError:
            return ""
        error: Mapping[str, Any] = answer.json().get("error") or {}
        details = [str(one.get("message", "")) for one in error.get("details") or ()]
        return "\n".join(part for part in (str(error.get("message", "")), *details) if part)

    def _below(self, uri: str) -> str:
        """Return an operation's address below the resource manager's own: a token is sent to nobody else."""
        at = uri.find(f"/subscriptions/{self._settings.subscription}/")
        return uri[at:] if at >= 0 and _OPERATIONS in uri else ""

    def _why(self, endpoint: str, present: Mapping[str, Any]) -> str:
        """Return why what was done last to an endpoint has failed."""
        properties = present["properties"]
        uri = str((properties.get("properties") or {}).get("AzureAsyncOperationUri", ""))
        return self.outcome(uri, endpoint) or f"its state is {properties['provisioningState']}"

    def _begin_removal(self, endpoint: str, path: str, operation: str) -> None:
        def remove() -> None:
            self._wire.send("DELETE", f"{path}?api-version={_VERSION}", operation=operation, resource=endpoint)

        try:
            self._when_idle(endpoint, remove, operation=operation)
        except NotFoundError:
            return  # somebody else was faster, or an earlier try of this call

    def _put(self, endpoint: str, body: Mapping[str, Any], *, operation: str) -> None:
        path = f"{self._path(endpoint)}?api-version={_VERSION}"
        self._wire.send("PUT", path, body=body, operation=operation, resource=endpoint)

    def _rested(self, endpoint: str, *, operation: str) -> dict[str, Any] | None:
        """Wait until nothing is being done to an endpoint, and return all that Azure shows; None when it is gone.

        Raises:
            WaitTimeoutError: Something is still being done.
        """
        for _ in self._looks(endpoint, operation=operation):
            present = self.read(endpoint)
            if present is None or present["properties"]["provisioningState"] not in mapping.IN_WORK:
                return present
        raise AssertionError("the looks end by returning or raising")

    def _when_idle(self, endpoint: str, act: Callable[[], _DONE], *, operation: str) -> _DONE:
        """Do something; as long as Azure refuses it because it is busy with the endpoint, try it again."""
        for last_state in self._looks(endpoint, operation=operation):
            del last_state
            try:
                return act()
            except ConflictError:
                if not self._busy(endpoint):
                    return act()  # what was under way has ended meanwhile, or this says what else is wrong
        raise AssertionError("the looks end by returning or raising")

    def _busy(self, endpoint: str) -> bool:
        shown = self.shown(endpoint)
        if shown is None:
            return False
        states = [mapping.state_of(shown.endpoint), *map(mapping.state_of, shown.deployments)]
        return any(state in mapping.IN_WORK for state in states)

    def _looks(self, endpoint: str, *, operation: str) -> Iterator[None]:
        """Yield as often as one is to look, with pauses between.

        Raises:
            WaitTimeoutError: The time of a call is over.
        """
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < self._wire.timeout:
            yield
            time.sleep(min(max(_SHORTEST_PAUSE_S, waited / _PAUSES), _LONGEST_PAUSE_S))
        raise WaitTimeoutError(
            f"{operation} of {endpoint!r}: Azure ML is still busy with the endpoint after {self._wire.timeout:g} s",
            hint="It goes on; look again later, or give the target a longer timeout=SECONDS.",
        )

    def location(self) -> str:
        """Return the workspace's location."""
        if not self._location:
            name = self._settings.workspace
            found = self._wire.ask(
                lambda: self._wire.client.workspaces.get(name), operation="endpoints.deploy", resource=name
            )
            self._location = str(found.location)
        return self._location

    def environment(self, image: str) -> str:
        """Return the id of the environment of a serving image; it is made when there is none."""
        made = ml().entities.Environment(**mapping.environment(image))
        found = self._wire.ask(
            lambda: self._wire.client.environments.create_or_update(made),
            operation="endpoints.deploy",
            resource=f"environment {made.name}",
        )
        return str(found.id)

    def _path(self, endpoint: str) -> str:
        return f"{self._settings.workspace_id}/onlineEndpoints/{endpoint}"


def check_ours(endpoint: str, tags: Mapping[str, str], *, operation: str) -> None:
    """Raise `ConflictError` for an endpoint whose tags do not say that this library made it: it is not changed."""
    if not mapping.is_ours(tags):
        mark = f"the tag {mapping.OURS}=endpoint"
        known_by = mapping.known_by(tags)
        raise not_ours(endpoint, known_by=known_by, mark=mark, operation=operation, provider=PROVIDER)


def _unknown(endpoint: str, operation: str) -> NotFoundError:
    return NotFoundError(
        f"there is no endpoint {endpoint!r}", provider=PROVIDER, operation=operation, resource=endpoint
    )


def _failed(resource: str, why: str, operation: str) -> ServiceError:
    return ServiceError(
        f"{operation} of {resource!r} has failed: {why}", provider=PROVIDER, operation=operation, resource=resource
    )


def _taken(endpoint: str) -> ConflictError:
    return ConflictError(
        f"the endpoint name {endpoint!r} is taken in the workspace's region, by somebody else's workspace",
        hint="Choose another name: it is a host's name, and unique in a region of Azure.",
        provider=PROVIDER,
        operation="endpoints.deploy",
        resource=endpoint,
    )
