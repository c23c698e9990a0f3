"""Service usage: which services a project may use."""

from __future__ import annotations

from typing import Any

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json, app
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.wire import Route, finder, json_object, recorded_json, refusal


def service_usage_service(surroundings: Surroundings) -> Service:
    """Say that every service is enabled: what is not emulated is told by its own host."""
    projects = Projects(surroundings.state)

    def enabled(project: str, service: str) -> dict[str, Any]:
        parent = f"projects/{projects.number(project)}"
        return {
            "name": f"{parent}/services/{service}",
            "parent": parent,
            "config": {"name": service},
            "state": "ENABLED",
        }

    def get(_: Asked, *, project: str, service: str) -> Answer:
        return answer_json(enabled(project, service))

    def batch_get(asked: Asked, *, project: str) -> Answer:
        names = [name.rpartition("/")[2] for name in asked.values("names")]
        return answer_json({"services": [enabled(project, name) for name in names]})

    def enable(_: Asked, *, project: str, service: str) -> Answer:
        kind = "type.googleapis.com/google.api.serviceusage.v1.EnableServiceResponse"
        response = {"@type": kind, "service": enabled(project, service)}
        return answer_json({"name": "operations/noop.DONE_OPERATION", "done": True, "response": response})

    def batch_enable(asked: Asked, *, project: str) -> Answer:
        kind = "type.googleapis.com/google.api.serviceusage.v1.BatchEnableServicesResponse"
        services = [enabled(project, name) for name in json_object(asked).get("serviceIds", [])]
        response = {"@type": kind, "services": services}
        return answer_json({"name": "operations/noop.DONE_OPERATION", "done": True, "response": response})

    routes = (
        Route("GET", "/v1/projects/{project}/services/{service}", "services.get", get),
        Route("GET", "/v1/projects/{project}/services:batchGet", "services.batchGet", batch_get),
        Route("POST", "/v1/projects/{project}/services/{service}:enable", "services.enable", enable),
        Route("POST", "/v1/projects/{project}/services:batchEnable", "services.batchEnable", batch_enable),
    )
    domain = "serviceusage.googleapis.com"
    return Service(
        name="serviceusage",
        hosts=(domain,),
        paths=("/v1/projects/*/services", "/v1/projects/*/services:*"),
        http=app(surroundings, "serviceusage", find=finder(routes), refusal=refusal(domain), recorded=recorded_json),
    )
