"""The front door of endpoints: who may score, and which deployment answers; requests to batch endpoints go to theirs.

Statuses and headers follow recorded traffic (azure-sdk-for-python, azure-ai-ml 1.1, `online_services`) and the table of
learn.microsoft.com, "Troubleshoot online endpoints": 401 and 403, 404 when no deployment has traffic, 408 when the
model took too long, 424 when it answered anything but 200, 429 when too many requests wait, 503 when none is ready.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.azure.ml.endpoints import SUFFIX, EndpointHosts, host_of
from cloudmlops.emulators.azure.scoring.batch import BatchDoor
from cloudmlops.emulators.azure.scoring.containers import Answered, Container, TooSlow, Unavailable
from cloudmlops.emulators.azure.scoring.credentials import Credentials
from cloudmlops.emulators.azure.scoring.fleet import Fleet
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, app
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.service import Service

NAME: Final = "scoring"
HOSTS: Final = ("*.inference.ml.azure.com",)
PINNED: Final = "azureml-model-deployment"
SCORE: Final = "/score"
_HOST: Final = re.compile(rf"(?P<endpoint>[^.]+)\.(?P<location>[^.]+)\.{re.escape(SUFFIX)}(?::\d+)?", re.IGNORECASE)
_OK: Final = 200
_WHOLE: Final = 100
_NOT_PASSED_ON: Final = frozenset(
    {"host", "authorization", "connection", "content-length", "transfer-encoding", "accept-encoding", PINNED}
)
_NOT_PASSED_BACK: Final = frozenset({"connection", "content-length", "transfer-encoding", "date", "server"})
_STATUS: Final = {"DEADLINE_EXCEEDED": 408, "FAILED_PRECONDITION": 424}
_SAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_TRACED: Final = 40
"""Characters of `x-ms-client-request-id` that are kept."""


def scoring_service(world: World, fleet: Fleet, credentials: Credentials, batch: BatchDoor) -> Service:
    """Build the service. Calls are named `scoring/POST`, those that begin batch jobs `scoring/POST jobs`."""
    door = _FrontDoor(world, fleet, credentials)

    def find(asked: Asked) -> tuple[str, Operation]:
        if (endpoint := batch.endpoint(asked.host)) is not None:
            return f"{asked.method} jobs", lambda again: batch.answer(again, endpoint)
        return asked.method, door.answer

    return Service(
        name=NAME,
        hosts=HOSTS,
        http=app(world.surroundings, NAME, find=find, refusal=_refusal, recorded=_recorded),
        close=fleet.close,
    )


class _FrontDoor:
    def __init__(self, world: World, fleet: Fleet, credentials: Credentials) -> None:
        self._world = world
        self._fleet = fleet
        self._credentials = credentials
        self._hosts = EndpointHosts(world.surroundings.state, "onlineEndpoints")

    def answer(self, asked: Asked) -> Answer:
        endpoint = self._endpoint(asked.host)
        self._credentials.check(endpoint, asked.headers.get("authorization", ""))
        traced = _traced(asked)
        try:
            deployment = self._chosen(endpoint, asked.headers.get(PINNED, ""))
            answered = self._exchanged(deployment, asked)
        except Refused as refused:
            answer = _refusal(refused)
            return Answer(status=answer.status, body=answer.body, headers={**answer.headers, **traced})
        if not asked.headers.get(PINNED):
            self._mirror(endpoint, asked)
        told = {name: value for name, value in answered.headers.items() if name not in _NOT_PASSED_BACK}
        headers = {**told, **traced, PINNED: deployment["name"]}
        if answered.status == _OK:
            return Answer(status=_OK, body=answered.data, headers=headers)
        reason = {
            "ms-azureml-model-error-reason": "model_error",
            "ms-azureml-model-error-statuscode": str(answered.status),
        }
        return Answer(status=424, body=answered.data, headers={**headers, **reason})

    def _endpoint(self, host: str) -> dict[str, Any]:
        found = _HOST.fullmatch(host)
        known = self._hosts.endpoint(host_of(found["endpoint"], found["location"])) if found else None
        endpoint = self._world.resources.get(known) if known is not None else None
        if endpoint is None:
            raise Refused("NOT_FOUND", f"There is no endpoint at {host}.")
        return endpoint

    def _chosen(self, endpoint: Mapping[str, Any], pinned: str) -> dict[str, Any]:
        """Return the deployment that is to answer."""
        if pinned:
            found = self._world.resources.get(f"{endpoint['id']}/deployments/{pinned}")
            if found is None:
                raise Refused("NOT_FOUND", f"The specified deployment {pinned} could not be found.")
            return found
        shares = {name: share for name, share in endpoint["properties"]["traffic"].items() if share > 0}
        if not shares:
            raise Refused("NOT_FOUND", "The endpoint has no deployment with positive traffic.")
        (name,) = self._fleet.chance.choices(list(shares), list(shares.values()))
        found = self._world.resources.get(f"{endpoint['id']}/deployments/{name}")
        if found is None:
            raise Refused("UNAVAILABLE", "no healthy upstream")
        return found

    def _exchanged(self, deployment: Mapping[str, Any], asked: Asked) -> Answered:
        settings = deployment["properties"]["requestSettings"]
        server = self._fleet.server(deployment["id"])
        if server is None:
            raise Refused("UNAVAILABLE", "no healthy upstream")
        most = 2 * settings["maxConcurrentRequestsPerInstance"] * deployment["sku"]["capacity"]
        path = server.plan.scoring_route if asked.path == SCORE else asked.path
        try:
            with server.asked(most=most) as container:
                return self._sent(container, asked, path, duration(settings["requestTimeout"]).total_seconds())
        except TooSlow:
            raise Refused("DEADLINE_EXCEEDED", "The model did not answer within the request timeout.") from None
        except Unavailable:
            if not server.starting:
                self._fleet.work(lambda: self._again(deployment["id"]))
            raise Refused("UNAVAILABLE", "no healthy upstream") from None

    def _sent(self, container: Container, asked: Asked, path: str, seconds: float) -> Answered:
        headers = {name: value for name, value in asked.headers.items() if name not in _NOT_PASSED_ON}
        query = f"?{asked.raw_query}" if asked.raw_query else ""
        return container.exchange(asked.method, f"{path}{query}", asked.body, headers, seconds=seconds)

    def _again(self, deployment: str) -> None:
        """Start the container of a deployment again that has died; what it says is in its log."""
        server = self._fleet.server(deployment)
        if server is not None:
            try:
                server.start()
            except Refused as refused:
                with self._fleet.log_of(deployment).open("a", encoding="utf-8") as log:
                    log.write(f"{refused.message}\n")

    def _mirror(self, endpoint: Mapping[str, Any], asked: Asked) -> None:
        """Copy a share of the requests to a deployment whose answers nobody gets."""
        for name, share in endpoint["properties"]["mirrorTraffic"].items():
            if self._fleet.chance.random() * _WHOLE < share:
                found = self._world.resources.get(f"{endpoint['id']}/deployments/{name}")
                if found is not None:
                    self._fleet.work(partial(self._copied, found, asked))

    def _copied(self, deployment: Mapping[str, Any], asked: Asked) -> None:
        try:
            self._exchanged(deployment, asked)
        except Refused as refused:
            with self._fleet.log_of(deployment["id"]).open("a", encoding="utf-8") as log:
                log.write(f"A mirrored request was not answered: {refused.message}\n")


def _refusal(refused: Refused) -> Answer:
    status = _STATUS.get(refused.code) or HTTP_STATUS.get(refused.code, 500)
    headers = {"content-type": "text/plain", "server": "azureml-frontdoor"}
    if refused.code == "UNAUTHENTICATED":
        headers["www-authenticate"] = "Bearer"
    if refused.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
    return Answer(status=status, body=refused.message.encode(), headers=headers)


def _traced(asked: Asked) -> dict[str, str]:
    """Return the headers by which a request is found again; an id that is no UUID is replaced."""
    try:
        request = str(UUID(asked.headers.get("x-request-id", "")))
    except ValueError:
        request = str(uuid4())
    told = {"x-request-id": request, "server": "azureml-frontdoor"}
    if client := asked.headers.get("x-ms-client-request-id"):
        told["x-ms-client-request-id"] = _SAFE.sub("", client)[:_TRACED]
    return told


def _recorded(asked: Asked) -> Mapping[str, Any]:
    kept = {name: asked.headers[name] for name in (PINNED,) if name in asked.headers}
    try:
        body = json.loads(asked.body) if asked.body else None
    except ValueError:
        body = None
    return {"host": asked.host, "headers": kept, "body": body}
