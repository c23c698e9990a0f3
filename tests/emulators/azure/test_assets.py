"""Code, data, environments and components: what the real SDK makes of them, and what recorded traffic shows of them.

Key sets were read in recorded traffic of the real service: azure-sdk-assets, azure-ai-ml 1.32 of 2026-03, environments
1.17 of 2024-05.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.conftest import Azure

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
"""azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth."""
COMMON = {"description", "tags", "properties", "isArchived", "isAnonymous"}
CODE = COMMON | {"codeUri", "provisioningState"}
DATA = COMMON | {"autoDeleteSetting", "dataUri", "stage", "intellectualProperty", "dataType"}
ENVIRONMENT = COMMON | {
    "autoDeleteSetting",
    "environmentType",
    "image",
    "condaFile",
    "osType",
    "autoRebuild",
    "provisioningState",
    "stage",
    "intellectualProperty",
}
COMPONENT = COMMON | {"autoDeleteSetting", "componentSpec", "provisioningState", "stage"}
API = "2023-04-01-preview"


def call(azure: Azure, method: str, path: str, *, who: str = "owner", **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal(who), "https://management.azure.com")
    joined = "&" if "?" in path else "?"
    return httpx.request(
        method,
        f"{azure.emulator.url}{azure.workspace_id}{path}{joined}api-version={API}",
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        **more,
    )


def put(azure: Azure, path: str, **properties: Any) -> httpx.Response:
    return call(azure, "PUT", path, json={"properties": properties})


def folder(tmp_path: Path, text: str = "print(1)") -> Path:
    made = tmp_path / "code"
    made.mkdir(exist_ok=True)
    (made / "train.py").write_text(text)
    return made


class TestCode:
    def test_a_folder_is_uploaded_once_and_found_again_by_its_hash(self, azure: Azure, tmp_path: Path) -> None:
        from azure.ai.ml.entities import CommandComponent

        def upload(name: str) -> Any:
            component = CommandComponent(
                name=name, command="python train.py", code=str(folder(tmp_path)), environment="azureml:AzureML-m:1"
            )
            return azure.client().components.create_or_update(component).code

        first, second = upload("one"), upload("other")

        assert first == second
        calls = [one.name for one in azure.emulator.calls.list() if "startPendingUpload" in one.name]
        assert len(calls) == 1

    def test_it_is_shown_with_all_that_the_service_shows(self, azure: Azure) -> None:
        reply = put(
            azure,
            "/codes/one/versions/1",
            codeUri="https://account.blob.core.windows.net/container/code",
            isAnonymous=True,
            properties={"hash_sha256": "abc", "hash_version": "202208"},
        )

        assert reply.status_code == 201
        assert set(reply.json()["properties"]) == CODE
        assert reply.json()["properties"]["isAnonymous"] is False
        found = call(azure, "GET", "/codes/other/versions?hash=abc&hashVersion=202208").json()["value"]
        assert [one["id"] for one in found] == [reply.json()["id"]]
        assert call(azure, "GET", "/codes/other/versions?hash=abd&hashVersion=202208").json()["value"] == []

    def test_a_pending_upload_is_to_a_container_of_its_own(self, azure: Azure) -> None:
        def begin() -> Any:
            return call(azure, "POST", "/codes/one/versions/1/startPendingUpload", json={}).json()

        one, other = begin(), begin()

        reference = one["blobReferenceForConsumption"]
        assert reference["credential"]["credentialType"] == "SAS"
        assert reference["credential"]["sasUri"].startswith(f"{reference['blobUri']}?")
        assert reference["blobUri"] != other["blobReferenceForConsumption"]["blobUri"]


class TestData:
    def test_versions_count_up_and_can_be_archived(self, azure: Azure, tmp_path: Path) -> None:
        from azure.ai.ml.entities import Data

        file = tmp_path / "a.csv"
        file.write_text("1")
        data = azure.client().data
        made = [data.create_or_update(Data(name="rows", path=str(file), type="uri_file")) for _ in range(2)]

        assert [one.version for one in made] == ["1", "2"]
        assert data.get("rows", label="latest").version == "2"
        data.archive("rows", "2")
        assert [one.version for one in data.list("rows")] == ["1"]
        data.restore("rows", "2")
        assert [one.version for one in data.list("rows")] == ["2", "1"]
        assert [one.name for one in data.list()] == ["rows"]

    def test_it_is_shown_with_all_that_the_service_shows_and_a_long_address(self, azure: Azure) -> None:
        reply = put(
            azure,
            "/data/rows/versions/1",
            dataUri="azureml://datastores/workspaceblobstore/paths/rows/",
            dataType="uri_folder",
        )

        assert reply.status_code == 201
        assert set(reply.json()["properties"]) == DATA
        assert reply.json()["properties"]["dataUri"] == (
            f"azureml://subscriptions/{azure.subscription}/resourcegroups/{azure.group}/workspaces/{azure.workspace}"
            "/datastores/workspaceblobstore/paths/rows/"
        )

    def test_where_a_version_lies_does_not_change(self, azure: Azure) -> None:
        address = "azureml://datastores/workspaceblobstore/paths/"
        put(azure, "/data/rows/versions/1", dataUri=f"{address}a", dataType="uri_file")

        assert put(azure, "/data/rows/versions/1", dataUri=f"{address}b", dataType="uri_file").status_code == 400
        again = put(azure, "/data/rows/versions/1", dataUri=f"{address}a", dataType="uri_file", tags={"a": "b"})
        assert (again.status_code, again.json()["properties"]["tags"]) == (200, {"a": "b"})

    def test_what_there_is_not_is_not_found(self, azure: Azure) -> None:
        with pytest.raises(ResourceNotFoundError):
            azure.client().data.get("nothing", "1")


class TestEnvironments:
    def test_what_conda_is_to_install_is_shown_as_json(self, azure: Azure) -> None:
        from azure.ai.ml.entities import Environment

        conda = {"name": "e", "channels": ["conda-forge"], "dependencies": ["python=3.11"]}
        made = azure.client().environments.create_or_update(
            Environment(name="trainer", version="3", image="contoso.azurecr.io/trainer:1", conda_file=conda)
        )

        assert made.conda_file == conda
        shown = call(azure, "GET", "/environments/trainer/versions/3").json()["properties"]
        assert set(shown) == ENVIRONMENT
        assert shown["condaFile"].startswith('{\n  "channels": [\n    "conda-forge"\n  ],\n')
        assert (shown["stage"], shown["properties"]["azureml.labels"]) == ("Development", "latest")
        assert azure.client().environments.get("trainer", label="latest").version == "3"

    def test_an_anonymous_one_is_always_answered_as_new(self, azure: Azure) -> None:
        replies = [
            put(azure, "/environments/CliV2AnonymousEnvironment/versions/abc", image="ubuntu:1", isAnonymous=True)
            for _ in range(2)
        ]

        assert [reply.status_code for reply in replies] == [201, 201]
        assert replies[0].json()["properties"]["stage"] == "Logged"

    def test_one_of_nothing_is_refused(self, azure: Azure) -> None:
        assert put(azure, "/environments/e/versions/1").status_code == 400


class TestComponents:
    SPECIFICATION: ClassVar[dict[str, Any]] = {
        "type": "command",
        "name": "azureml_anonymous",
        "version": "1",
        "command": "echo ${{inputs.number}}",
        "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:33",
        "is_deterministic": True,
        "inputs": {"number": {"type": "integer", "default": "10"}, "path": {"type": "uri_folder", "optional": True}},
        "_source": "YAML.JOB",
    }

    def test_a_specification_becomes_text_as_recorded(self, azure: Azure) -> None:
        reply = put(azure, "/components/step/versions/1", componentSpec=self.SPECIFICATION, description="said")

        assert reply.status_code == 201
        properties = reply.json()["properties"]
        assert set(properties) == COMPONENT
        assert (properties["description"], properties["stage"]) == (None, "Logged")
        assert properties["componentSpec"] == {
            "type": "command",
            "name": "azureml_anonymous",
            "version": "1",
            "command": "echo ${{inputs.number}}",
            "environment": "azureml://registries/azureml/environments/AzureML-sklearn-1.0-ubuntu20.04-py38-cpu/versions/33",
            "is_deterministic": "True",
            "inputs": {
                "number": {"type": "integer", "default": "10", "optional": "False"},
                "path": {"type": "uri_folder", "optional": "True"},
            },
            "resources": {"instance_count": "1"},
        }

    def test_an_anonymous_one_has_a_version_of_its_content(self, azure: Azure) -> None:
        def anonymous(version: str, command: str) -> httpx.Response:
            specification = {**self.SPECIFICATION, "command": command}
            path = f"/components/azureml_anonymous/versions/{version}"
            return put(azure, path, componentSpec=specification, isAnonymous=True)

        one, again, other = anonymous("a", "true"), anonymous("b", "true"), anonymous("a", "false")

        assert [reply.status_code for reply in (one, again, other)] == [201, 201, 201]
        assert one.json()["id"] == again.json()["id"]
        assert one.json()["id"] != other.json()["id"]

    def test_one_is_made_changed_and_archived_through_the_sdk(self, azure: Azure, tmp_path: Path) -> None:
        from azure.ai.ml.entities import CommandComponent

        components = azure.client().components

        def component(**more: Any) -> Any:
            return CommandComponent(
                name="step",
                command="python train.py",
                code=str(folder(tmp_path)),
                environment="azureml:AzureML-m:1",
                **more,
            )

        made = components.create_or_update(component())

        assert made.version == "1"
        assert components.create_or_update(component(version="1", tags={"a": "b"})).tags == {"a": "b"}
        components.archive("step", "1")
        assert list(components.list("step")) == []
        with pytest.raises(HttpResponseError, match="cannot be changed"):
            components.create_or_update(component(version="1", is_deterministic=False))

    def test_what_there_is_not_is_not_found_in_the_words_of_the_service(self, azure: Azure) -> None:
        reply = call(azure, "GET", "/components/nothing")

        assert reply.status_code == 404
        assert reply.json()["error"]["message"] == "Not found component nothing."

    def test_one_of_a_type_that_is_not_emulated_is_refused_by_name(self, azure: Azure) -> None:
        reply = put(azure, "/components/step/versions/1", componentSpec={"type": "import"})

        assert reply.status_code == 501
        assert "'import'" in reply.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["codes", "data", "environments", "components"])
@pytest.mark.parametrize(
    ("who", "reads", "writes"), [("scientist", 200, 201), ("reader", 200, 403), ("nobody", 403, 403)]
)
def test_who_may_read_and_write(azure: Azure, kind: str, who: str, reads: int, writes: int) -> None:
    body = {
        "codes": {"codeUri": "https://account.blob.core.windows.net/container/code"},
        "data": {"dataUri": "azureml://datastores/workspaceblobstore/paths/a", "dataType": "uri_file"},
        "environments": {"image": "ubuntu:1"},
        "components": {"componentSpec": TestComponents.SPECIFICATION},
    }[kind]

    written = call(azure, "PUT", f"/{kind}/one/versions/1", who=who, json={"properties": body})

    assert written.status_code == writes, written.text
    assert call(azure, "GET", f"/{kind}", who=who).status_code == reads
