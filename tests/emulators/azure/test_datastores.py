"""Datastores through the real SDK, and what models upload to them and download again."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from tests.emulators.azure.conftest import Azure

KEY = "dGhpcyBpcyBmYWtlIGtleQ=="


def ask(azure: Azure, method: str, path: str, *, who: str = "owner", body: object = None) -> httpx.Response:
    """Ask Azure Resource Manager at the plain address."""
    token = azure.cloud.tokens.issue(azure.principal(who), "https://management.azure.com")
    url = f"{azure.emulator.url}{azure.workspace_id}/datastores{path}"
    version = "api-version=2024-07-01-preview"
    return httpx.request(
        method,
        url if version in url else f"{url}{'&' if '?' in url else '?'}{version}",
        headers={"authorization": f"Bearer {token}"},
        json=body,
        trust_env=False,
        verify=False,
    )


class TestDefaults:
    def test_are_in_every_workspace(self, azure: Azure) -> None:
        client = azure.client()
        found = {one.name: one for one in client.datastores.list()}
        assert set(found) == {"workspaceblobstore", "workspaceartifactstore"}
        assert found["workspaceartifactstore"].container_name == "azureml"
        assert client.datastores.get_default().name == "workspaceblobstore"

    def test_look_as_the_service_shows_them(self, azure: Azure) -> None:
        workspace = azure.cloud.resources.get(azure.workspace_id)
        assert workspace is not None
        shown = ask(azure, "GET", "/workspaceblobstore").json()
        account = workspace["properties"]["storageAccount"].rpartition("/")[2]
        assert shown["type"] == "Microsoft.MachineLearningServices/workspaces/datastores"
        assert shown["properties"] == {
            "description": None,
            "tags": None,
            "properties": None,
            "isDefault": True,
            "credentials": {"credentialsType": "AccountKey"},
            "subscriptionId": azure.subscription,
            "resourceGroup": azure.group,
            "datastoreType": "AzureBlob",
            "accountName": account,
            "containerName": f"azureml-blobstore-{workspace['properties']['workspaceId']}",
            "endpoint": "core.windows.net",
            "protocol": "https",
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
        }

    def test_open_their_storage_with_a_signature_of_an_hour(self, azure: Azure) -> None:
        store = azure.client().datastores.get("workspaceblobstore", include_secrets=True)
        signature = store.credentials.sas_token
        assert signature.startswith("?sv=")
        assert "srt=co&ss=bf&sp=rcuwdl" in signature
        service = BlobServiceClient(
            f"https://{store.account_name}.blob.core.windows.net", credential=signature, retry_total=0
        )
        container = service.get_container_client(store.container_name)
        container.upload_blob("a", b"1")
        azure.emulator.clock.advance(timedelta(minutes=61))
        with pytest.raises(HttpResponseError, match="Signature not valid in the specified time frame"):
            container.download_blob("a")

    def test_give_their_key_to_clients_that_ask_for_no_expiry(self, azure: Azure) -> None:
        answer = ask(azure, "POST", "/workspaceblobstore/listSecrets").json()
        account = ask(azure, "GET", "/workspaceblobstore").json()["properties"]["accountName"]
        assert answer == {"secretsType": "AccountKey", "key": azure.cloud.blobs.key(account)}

    def test_are_listed_in_pages_newest_first(self, azure: Azure) -> None:
        names, query = [], "?count=1"
        while query:
            page = ask(azure, "GET", query).json()
            names += [one["name"] for one in page["value"]]
            query = "?" + page["nextLink"].partition("?")[2] if "nextLink" in page else ""
        assert names == ["workspaceblobstore", "workspaceartifactstore"]
        assert ask(azure, "GET", "?count=none").status_code == 400
        assert ask(azure, "GET", "?orderBy=Size").status_code == 501

    def test_stay(self, azure: Azure) -> None:
        with pytest.raises(HttpResponseError):
            azure.client().datastores.delete("workspaceblobstore")


class TestOthers:
    def test_are_registered_shown_and_removed(self, azure: Azure) -> None:
        from azure.ai.ml.entities import AccountKeyConfiguration, AzureBlobDatastore

        client = azure.client()
        store = AzureBlobDatastore(
            name="mine",
            account_name="contoso",
            container_name="raw",
            credentials=AccountKeyConfiguration(account_key=KEY),
            description="ours",
            tags={"team": "a"},
        )
        made = client.datastores.create_or_update(store)
        assert (made.account_name, made.container_name, made.description, made.tags) == (
            "contoso",
            "raw",
            "ours",
            {"team": "a"},
        )
        assert next(one.name for one in client.datastores.list()) == "mine"
        assert client.datastores.get("mine", include_secrets=True).credentials.sas_token.startswith("?sv=")
        client.datastores.delete("mine")
        with pytest.raises(ResourceNotFoundError):
            client.datastores.get("mine")

    def test_answer_as_the_service_does(self, azure: Azure) -> None:
        given = {
            "tags": {},
            "credentials": {
                "credentialsType": "AccountKey",
                "secrets": {"secretsType": "AccountKey", "key": KEY},
            },
            "datastoreType": "AzureBlob",
            "accountName": "contoso",
            "containerName": "raw",
            "endpoint": "core.windows.net",
            "protocol": "https",
        }
        made = ask(azure, "PUT", "/mine", body={"properties": given})
        assert made.status_code == 201
        assert made.headers["location"].startswith("https://management.azure.com/subscriptions/")
        assert made.json()["properties"] == {
            "description": None,
            "tags": {},
            "properties": None,
            "isDefault": False,
            "credentials": {"credentialsType": "AccountKey"},
            "subscriptionId": None,
            "resourceGroup": None,
            "datastoreType": "AzureBlob",
            "accountName": "contoso",
            "containerName": "raw",
            "endpoint": "core.windows.net",
            "protocol": "https",
            "serviceDataAccessAuthIdentity": "None",
        }
        assert ask(azure, "PUT", "/mine", body={"properties": given}).status_code == 200
        assert ask(azure, "POST", "/mine/listSecrets").json() == {"secretsType": "AccountKey", "key": KEY}
        assert ask(azure, "DELETE", "/mine").status_code == 200
        assert ask(azure, "DELETE", "/mine").status_code == 204

    def test_without_credentials_have_no_secrets(self, azure: Azure) -> None:
        from azure.ai.ml.entities import AzureBlobDatastore

        azure.client().datastores.create_or_update(
            AzureBlobDatastore(name="open", account_name="contoso", container_name="raw")
        )
        answer = ask(azure, "POST", "/open/listSecrets", body={"expirableSecret": True, "expireAfterHours": 1})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "UserError")

    def test_of_other_kinds_are_records(self, azure: Azure) -> None:
        from azure.ai.ml.entities import AzureDataLakeGen2Datastore, ServicePrincipalConfiguration

        client = azure.client()
        client.datastores.create_or_update(
            AzureDataLakeGen2Datastore(
                name="lake",
                account_name="contoso",
                filesystem="raw",
                credentials=ServicePrincipalConfiguration(tenant_id="t", client_id="c", client_secret="s"),
            )
        )
        found = client.datastores.get("lake", include_secrets=True)
        assert (found.filesystem, found.credentials.client_id, found.credentials.client_secret) == ("raw", "c", "s")
        bad = ask(azure, "PUT", "/odd", body={"properties": {"datastoreType": "Hdfs"}})
        assert (bad.status_code, "Hdfs" in bad.text) == (400, True)

    def test_can_be_the_default_in_place_of_another(self, azure: Azure) -> None:
        given = {
            "credentials": {"credentialsType": "None"},
            "datastoreType": "AzureBlob",
            "accountName": "contoso",
            "containerName": "raw",
            "isDefault": True,
        }
        ask(azure, "PUT", "/mine", body={"properties": given})
        assert azure.client().datastores.get_default().name == "mine"

    def test_may_be_opened_by_those_whose_role_lists_secrets(self, azure: Azure) -> None:
        assert ask(azure, "POST", "/workspaceblobstore/listSecrets", who="scientist").status_code == 200
        refused = ask(azure, "POST", "/workspaceblobstore/listSecrets", who="reader")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "AuthorizationFailed")


# azure-ai-ml 1.35 downloads by what azure-storage-blob 12.31 calls deprecated
@pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning")
@pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning")
class TestModels:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "churn"
        (folder / "sub").mkdir(parents=True)
        (folder / "MLmodel").write_text("flavors: {}")
        (folder / "sub" / "weights.bin").write_bytes(os.urandom(5 << 20))
        return folder

    def test_are_uploaded_and_downloaded_again(self, azure: Azure, folder: Path, tmp_path: Path) -> None:
        from azure.ai.ml.entities import Model

        client = azure.client()
        made = client.models.create_or_update(Model(name="churn", path=str(folder), type="custom_model"))
        assert "/datastores/workspaceblobstore/paths/LocalUpload/" in made.path
        client.models.download("churn", made.version, download_path=str(tmp_path / "out"))
        out = tmp_path / "out" / "churn" / "churn"
        assert (out / "MLmodel").read_text() == "flavors: {}"
        assert (out / "sub" / "weights.bin").read_bytes() == (folder / "sub" / "weights.bin").read_bytes()

    def test_of_the_same_content_are_uploaded_once(self, azure: Azure, folder: Path) -> None:
        from azure.ai.ml.entities import Model

        client = azure.client()
        first = client.models.create_or_update(Model(name="churn", path=str(folder), type="custom_model"))
        azure.emulator.calls.clear()
        second = client.models.create_or_update(Model(name="churn", path=str(folder), type="custom_model"))
        assert (second.version, second.path) == ("2", first.path)
        assert {call.name for call in azure.emulator.calls.list("blob/")} == {"blob/GetBlobProperties"}

    def test_are_not_uploaded_by_whom_storage_refuses(self, azure: Azure, folder: Path) -> None:
        """A refused listSecrets is swallowed by the SDK, which then tries its own token on the storage."""
        from azure.ai.ml.entities import Model

        role = azure.cloud.access.define(
            {
                "name": "0a1c8a6e-1111-4a4e-9c39-7a7b1f6b0c55",
                "properties": {
                    "roleName": f"Without secrets {azure.workspace}",
                    "permissions": [
                        {
                            "actions": ["Microsoft.MachineLearningServices/workspaces/*"],
                            "notActions": [
                                "Microsoft.MachineLearningServices/workspaces/datastores/listSecrets/action"
                            ],
                        }
                    ],
                },
            }
        )
        azure.cloud.access.assign(azure.workspace_id, azure.principal("nobody").object_id, role)
        with pytest.raises(Exception, match="don't have permission to alter this storage account"):
            azure.client("nobody").models.create_or_update(Model(name="churn", path=str(folder), type="custom_model"))
