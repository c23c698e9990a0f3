"""Resource manager: projects by id and number, and their policies."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from google.cloud.resourcemanager_v3.types import GetProjectRequest, Project
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.rpc import Caller, Method, unary_handler
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.payloads import Many, Named, Type, typed
from cloudmlops.emulators.google.tokens import Tokens
from cloudmlops.emulators.google.wire import Route, finder, json_object, recorded_json, refusal

_DOMAIN: Final = "cloudresourcemanager.googleapis.com"
_RPC: Final = "/google.cloud.resourcemanager.v3.Projects"
_TYPES: Final[Mapping[str, Type]] = {
    "permissions": Many("text"),
    "policy": {
        "auditConfigs": Many(
            {"auditLogConfigs": Many({"exemptedMembers": Many("text"), "logType": "text"}), "service": "text"}
        ),
        "bindings": Many({"condition": Named("text"), "members": Many("text"), "role": "text"}),
        "etag": "text",
        "version": "whole",
    },
}
_SINCE: Final = "2026-01-01T00:00:00Z"


def resource_manager_service(surroundings: Surroundings, *, tokens: Tokens, access: Access, audit: Audit) -> Service:
    """Tell about projects; any project that is asked for exists."""
    manager = _Manager(Projects(surroundings.state), tokens, access, audit)
    routes = [
        Route("GET", "/v1/projects/{project}", "projects.get", manager.first),
        Route("GET", "/v3/projects/{project}", "projects.get", manager.third),
    ]
    for version in ("v1", "v3"):
        for verb, act in (
            ("testIamPermissions", manager.test_permissions),
            ("getIamPolicy", manager.get_policy),
            ("setIamPolicy", manager.set_policy),
        ):
            routes.append(Route("POST", f"/{version}/projects/{{project}}:{verb}", f"projects.{verb}", act))
    methods = {
        f"{_RPC}/GetProject": Method(request=GetProjectRequest.pb(), act=manager.rpc_get, resource=_name),
        f"{_RPC}/TestIamPermissions": Method(
            request=iam_policy_pb2.TestIamPermissionsRequest, act=manager.rpc_test_permissions, resource=_resource
        ),
        f"{_RPC}/GetIamPolicy": Method(
            request=iam_policy_pb2.GetIamPolicyRequest, act=manager.rpc_get_policy, resource=_resource
        ),
        f"{_RPC}/SetIamPolicy": Method(
            request=iam_policy_pb2.SetIamPolicyRequest, act=manager.rpc_set_policy, resource=_resource
        ),
    }
    return Service(
        name="resourcemanager",
        hosts=(_DOMAIN,),
        paths=("/v3/projects", "/v1/projects/*$"),
        http=app(
            surroundings, "resourcemanager", find=finder(routes), refusal=refusal(_DOMAIN), recorded=recorded_json
        ),
        rpc=unary_handler(surroundings, "resourcemanager", methods, domain=_DOMAIN),
    )


class _Manager:
    def __init__(self, projects: Projects, tokens: Tokens, access: Access, audit: Audit) -> None:
        self._projects = projects
        self._audit = audit
        self._tokens = tokens
        self._access = access

    def first(self, asked: Asked, *, project: str) -> Answer:
        number, identity = self._get(project, asked.headers.get("authorization"))
        content = {"projectNumber": number, "projectId": identity, "lifecycleState": "ACTIVE", "name": identity}
        return answer_json({**content, "createTime": _SINCE})

    def third(self, asked: Asked, *, project: str) -> Answer:
        number, identity = self._get(project, asked.headers.get("authorization"))
        return answer_json(MessageToDict(Project.pb(_project(number, identity))))

    def test_permissions(self, asked: Asked, *, project: str) -> Answer:
        principal = self._tokens.principal(asked.headers.get("authorization"))
        wanted = typed(json_object(asked), _TYPES).get("permissions", [])
        granted = self._access.tested(principal, wanted, self._canonical(project))
        return answer_json({"permissions": granted} if granted else {})

    def get_policy(self, asked: Asked, *, project: str) -> Answer:
        return answer_json(self._policy(project, asked.headers.get("authorization")))

    def set_policy(self, asked: Asked, *, project: str) -> Answer:
        content = typed(json_object(asked), _TYPES).get("policy")
        if content is None:
            raise Refused("INVALID_ARGUMENT", "A policy is wanted.")
        return answer_json(self._kept_policy(project, content, asked.headers.get("authorization")))

    def rpc_get(self, request: Any, caller: Caller) -> Any:
        return Project.pb(_project(*self._get(_identity(request.name), caller.authorization)))

    def rpc_test_permissions(self, request: Any, caller: Caller) -> Any:
        granted = self._access.tested(
            self._tokens.principal(caller.authorization),
            request.permissions,
            self._canonical(_identity(request.resource)),
        )
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=granted)

    def rpc_get_policy(self, request: Any, caller: Caller) -> Any:
        return ParseDict(self._policy(_identity(request.resource), caller.authorization), policy_pb2.Policy())

    def rpc_set_policy(self, request: Any, caller: Caller) -> Any:
        policy = MessageToDict(request.policy)
        kept = self._kept_policy(_identity(request.resource), policy, caller.authorization)
        return ParseDict(kept, policy_pb2.Policy())

    def _get(self, project: str, authorization: str | None) -> tuple[str, str]:
        """Return number and id."""
        principal = self._tokens.principal(authorization)
        if project.isdigit() and self._projects.id(project) == project:
            # A project that nobody has named by its id is none, and the service does not tell that it is none.
            raise Refused("PERMISSION_DENIED", "The caller does not have permission")
        self._access.check(principal, "resourcemanager.projects.get", f"projects/{self._projects.id(project)}")
        return self._projects.number(project), self._projects.id(project)

    def _policy(self, project: str, authorization: str | None) -> dict[str, Any]:
        resource = self._canonical(project)
        self._access.check(self._tokens.principal(authorization), "resourcemanager.projects.getIamPolicy", resource)
        return self._access.policy(resource)

    def _kept_policy(self, project: str, policy: Mapping[str, Any], authorization: str | None) -> dict[str, Any]:
        resource = self._canonical(project)
        told: dict[str, Any] = {
            "service_name": _DOMAIN,
            "method_name": "SetIamPolicy",
            "resource_name": resource,
            "request": {"resource": resource, "policy": dict(policy)},
            "principal": self._tokens.principal(authorization),
            "permission": "resourcemanager.projects.setIamPolicy",
            "resource_type": "project",
        }
        with self._audit.trying(**told):
            self._access.check(told["principal"], told["permission"], resource)
            kept = self._access.set_policy(resource, policy)
        self._audit.mutated(response=kept, **told)
        return kept

    def _canonical(self, project: str) -> str:
        return f"projects/{self._projects.id(project)}"


def _project(number: str, identity: str) -> Any:
    etag = base64.b64encode(number.encode()).decode()
    return Project(
        name=f"projects/{number}",
        project_id=identity,
        display_name=identity,
        state=Project.State.ACTIVE,
        etag=etag,
        create_time=_SINCE,  # proto-plus reads RFC 3339
    )


def _identity(name: str) -> str:
    kind, _, identity = name.partition("/")
    if kind != "projects" or not identity or "/" in identity:
        raise Refused("INVALID_ARGUMENT", f"Invalid project name {name!r}.")
    return identity


def _name(request: Any) -> str:
    return str(request.name)


def _resource(request: Any) -> str:
    return str(request.resource)
