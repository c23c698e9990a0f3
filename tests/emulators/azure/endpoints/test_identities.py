"""Whose tokens the containers of endpoints have: those of the endpoints' identities, and nobody else's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from .conftest import Endpoints

MACHINE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/machine"
WHO = """
import json
import os
import jwt
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

def run(raw_data):
    assert "AZURE_CLIENT_SECRET" not in os.environ
    named = json.loads(raw_data).get("client_id")
    credential = ManagedIdentityCredential(client_id=named) if named else ManagedIdentityCredential()
    try:
        token = credential.get_token("https://management.azure.com/.default").token
    except ClientAuthenticationError as error:
        return str(error)
    return jwt.decode(token, options={"verify_signature": False})["oid"]
"""
NOBODY = "Identity not found|managed identity configuration not found"
"""What azure-identity makes of a refusal, today and in its oldest version that the extras allow."""
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
READ = "Microsoft.MachineLearningServices/workspaces/read"


def test_an_endpoint_is_a_principal_of_its_own_that_roles_can_be_given_to(endpoints: Endpoints) -> None:
    path = endpoints.endpoint("who")
    shown = endpoints.call("GET", path).json()["identity"]
    endpoints.script(path, script=WHO)
    assigned = {
        "properties": {
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{READER}",
            "principalId": shown["principalId"],
        }
    }

    reply = endpoints.score(path, {}, **{"azureml-model-deployment": "blue"})

    assert shown["type"] == "SystemAssigned"
    assert reply.json() == shown["principalId"]
    assert not endpoints.cloud.access.granted(shown["principalId"], READ, endpoints.workspace)
    place = f"/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
    endpoints.call("PUT", place, api="2022-04-01", json=assigned).raise_for_status()
    assert endpoints.cloud.access.granted(shown["principalId"], READ, endpoints.workspace)
    machine = endpoints.cloud.tokens.directory.by_name("machine")
    others = endpoints.score(path, {"client_id": machine.client_id}, **{"azureml-model-deployment": "blue"})
    assert re.search(NOBODY, others.json())


def test_an_endpoint_that_is_gone_takes_its_principal_with_it(endpoints: Endpoints) -> None:
    path = endpoints.endpoint("gone")
    before = endpoints.call("GET", path).json()["identity"]["principalId"]
    assert endpoints.cloud.tokens.directory.by_object(before) is not None

    endpoints.followed(endpoints.call("DELETE", path))

    assert endpoints.cloud.tokens.directory.by_object(before) is None
    endpoints.endpoint("gone")
    after = endpoints.call("GET", path).json()["identity"]["principalId"]
    assert after != before, "roles of the former one would count again"


def test_an_endpoint_keeps_its_principal_when_it_is_changed_and_can_be_no_other(endpoints: Endpoints) -> None:
    path = endpoints.endpoint("kept")
    before = endpoints.call("GET", path).json()["identity"]

    endpoints.endpoint("kept", description="another one")
    other = {"type": "UserAssigned", "userAssignedIdentities": {MACHINE: {}}}
    body = {"location": "westeurope", "identity": other, "properties": {"authMode": "Key"}}
    refused = endpoints.call("PUT", path, json=body)

    assert endpoints.call("GET", path).json()["identity"] == before
    assert refused.status_code == 400
    assert "identity of an existing endpoint cannot be changed" in refused.text


def test_a_user_assigned_identity_is_had_by_naming_it(endpoints: Endpoints) -> None:
    path = f"/onlineEndpoints/{endpoints.prefix}-user"
    identity = {"type": "UserAssigned", "userAssignedIdentities": {MACHINE: {}}}
    endpoints.put(path, {"location": "westeurope", "identity": identity, "properties": {"authMode": "Key"}})
    endpoints.script(path, script=WHO)
    known = endpoints.cloud.tokens.directory.by_name("machine")

    said = {
        name: endpoints.score(path, {"client_id": name}, **{"azureml-model-deployment": "blue"}).json()
        for name in (known.client_id, "")
    }

    shown = endpoints.call("GET", path).json()["identity"]["userAssignedIdentities"]
    assert shown == {MACHINE: {"principalId": known.object_id, "clientId": known.client_id}}
    assert said[known.client_id] == known.object_id
    assert re.search(NOBODY, said[""])
