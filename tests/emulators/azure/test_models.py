from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from cloudmlops.emulators.core.faults import Fault, Refused

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

    from conftest import Azure

API = "2023-08-01-preview"
SHOWN = {
    "description",
    "tags",
    "properties",
    "isArchived",
    "isAnonymous",
    "autoDeleteSetting",
    "flavors",
    "modelType",
    "modelUri",
    "jobName",
    "provisioningState",
    "stage",
    "intellectualProperty",
}
"""The properties of a version in recorded traffic of 2026-03."""


def uri(azure: Azure, path: str = "LocalUpload/abc/model") -> str:
    return (
        f"azureml://subscriptions/{azure.subscription}/resourcegroups/{azure.group}/workspaces/{azure.workspace}"
        f"/datastores/workspaceblobstore/paths/{path}"
    )


def register(azure: Azure, name: str = "churn", **given: Any) -> Model:
    from azure.ai.ml.entities import Model

    made: Model = azure.client().models.create_or_update(
        Model(name=name, path=given.pop("path", uri(azure)), type="custom_model", **given)
    )
    return made


def call(azure: Azure, method: str, path: str, **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    return httpx.request(
        method,
        f"{azure.emulator.url}{azure.workspace_id}{path}",
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        **more,
    )


def test_versions_count_up_from_one(azure: Azure) -> None:
    assert [register(azure).version for _ in range(3)] == ["1", "2", "3"]
    (model,) = azure.client().models.list()
    assert (model.name, model.latest_version) == ("churn", "3")


def test_the_number_of_a_version_that_is_gone_is_not_given_again(azure: Azure) -> None:
    for _ in range(2):
        register(azure)
    call(azure, "DELETE", "/models/churn/versions/2", params={"api-version": API}).raise_for_status()

    assert register(azure).version == "3"


def test_a_version_is_shown_with_all_that_the_service_shows(azure: Azure) -> None:
    register(azure, version="7", description="d", tags={"a": "b"}, stage="Production")

    shown = call(azure, "GET", "/models/churn/versions/7", params={"api-version": API}).json()

    assert set(shown["properties"]) == SHOWN
    assert shown["properties"]["stage"] == "Production"
    assert shown["properties"]["modelUri"] == uri(azure).replace("/resourcegroups/", "/resourceGroups/")
    assert shown["type"] == "Microsoft.MachineLearningServices/workspaces/models/versions"
    assert set(shown["systemData"]) == {
        f"{what}{part}" for what in ("created", "lastModified") for part in ("At", "By", "ByType")
    }


def test_a_version_without_a_stage_is_in_development(azure: Azure) -> None:
    assert register(azure).stage == "Development"


@pytest.mark.parametrize("path", ["/models/nothing", "/models/nothing/versions", "/models/nothing/versions/1"])
def test_what_there_is_not_is_an_error_of_the_user_and_no_empty_list(azure: Azure, path: str) -> None:
    reply = call(azure, "GET", path, params={"api-version": API})

    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (404, "UserError")
    assert [detail["code"] for detail in error["details"]] == ["ModelNotFound"]
    assert [info["type"] for info in error["additionalInfo"]] == [
        "ComponentName",
        "Correlation",
        "Environment",
        "Location",
        "Time",
    ]
    with pytest.raises(ResourceNotFoundError, match="ModelNotFound"):
        azure.client().models.get("nothing", "1")


def test_a_workspace_that_there_is_not_is_told_so(azure: Azure) -> None:
    client = azure.client()
    with pytest.raises(ResourceNotFoundError, match="workspaces/elsewhere"):
        client.workspaces.get("elsewhere")


def test_tags_are_replaced_whole(azure: Azure) -> None:
    made = register(azure, tags={"a": "1", "b": "2"})
    made.tags = {"b": "3"}

    azure.client().models.create_or_update(made)

    assert azure.client().models.get("churn", made.version).tags == {"b": "3"}


def test_versions_are_found_by_stage_and_tags(azure: Azure) -> None:
    register(azure, stage="Production", tags={"team": "a"})
    register(azure, tags={"team": "a", "kind": "x"})
    register(azure, stage="Production")

    assert [one.version for one in azure.client().models.list("churn", stage="Production")] == ["3", "1"]
    for wanted, versions in (("team", ["2", "1"]), ("team=a,kind=x", ["2"]), ("team=b", [])):
        reply = call(azure, "GET", "/models/churn/versions", params={"api-version": API, "tags": wanted})
        assert [one["name"] for one in reply.json()["value"]] == versions


def test_the_latest_version_is_the_one_that_was_made_last(azure: Azure) -> None:
    register(azure, version="10")
    register(azure, version="2")

    assert azure.client().models.get("churn", label="latest").version == "2"


def test_what_is_archived_is_hidden_until_it_is_restored(azure: Azure) -> None:
    from azure.ai.ml.constants import ListViewType

    models = azure.client().models
    for _ in range(2):
        register(azure)

    models.archive("churn", "1")
    assert [one.version for one in models.list("churn")] == ["2"]
    assert [one.version for one in models.list("churn", list_view_type=ListViewType.ARCHIVED_ONLY)] == ["1"]
    assert [one.version for one in models.list("churn", list_view_type=ListViewType.ALL)] == ["2", "1"]
    models.restore("churn", "1")
    assert [one.version for one in models.list("churn")] == ["2", "1"]
    models.archive("churn")
    assert list(models.list()) == []
    models.restore("churn")
    assert [one.name for one in models.list()] == ["churn"]


def test_what_a_version_is_made_of_cannot_be_changed(azure: Azure) -> None:
    register(azure, version="1")

    with pytest.raises(HttpResponseError, match="modelUri"):
        register(azure, version="1", path=uri(azure, "another"))


@pytest.mark.conformance(ci=True)
def test_pages_neither_hide_nor_repeat_what_was_there_throughout(azure: Azure) -> None:
    for _ in range(35):
        register(azure)
    first = call(azure, "GET", "/models/churn/versions", params={"api-version": API}).json()
    call(azure, "DELETE", f"/models/churn/versions/{first['value'][-1]['name']}", params={"api-version": API})
    register(azure)

    path = first["nextLink"].partition("/models/")[2]
    second = call(azure, "GET", f"/models/{path}").json()

    seen = [one["name"] for page in (first, second) for one in page["value"]]
    assert seen == [str(number) for number in range(35, 0, -1)]
    assert "nextLink" not in second


@pytest.mark.conformance(ci=True)
def test_models_are_listed_through_all_pages_by_the_sdk(azure: Azure) -> None:
    for number in range(33):
        register(azure, f"model-{number:02}")

    assert [one.name for one in azure.client().models.list()] == [f"model-{number:02}" for number in range(33)]


def test_which_api_versions_an_sdk_asks_for_is_known(azure: Azure) -> None:
    register(azure)

    assert azure.cloud.versions["PUT workspaces/models/versions"] == {API}


def test_every_answer_has_an_id_to_ask_about_it_by(azure: Azure) -> None:
    found, missing = (call(azure, "GET", path, params={"api-version": API}) for path in ("/models", "/models/nothing"))

    assert (found.status_code, missing.status_code) == (200, 404)
    assert len({reply.headers["x-ms-request-id"] for reply in (found, missing)}) == 2


def test_what_is_not_emulated_names_itself(azure: Azure) -> None:
    reply = call(azure, "GET", "/serverlessEndpoints/x", params={"api-version": API})

    assert reply.status_code == 501
    assert "serverlessEndpoints/x is not emulated" in reply.json()["error"]["message"]


def test_a_call_without_an_api_version_is_refused(azure: Azure) -> None:
    reply = call(azure, "GET", "/models")

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


def test_paths_are_compared_without_regard_to_case(azure: Azure) -> None:
    register(azure)

    reply = call(azure, "GET", "/MODELS/Churn/Versions/1", params={"api-version": API})

    assert reply.json()["id"].endswith("/models/churn/versions/1")


@pytest.mark.parametrize(
    ("who", "verb", "allowed"),
    [
        ("scientist", "write", True),
        ("scientist", "read", True),
        ("reader", "read", True),
        ("reader", "write", False),
        ("nobody", "read", False),
    ],
)
def test_models_are_for_those_whose_role_allows_it(azure: Azure, who: str, verb: str, allowed: bool) -> None:
    from azure.ai.ml.entities import Model

    models = azure.client(who).models

    def act() -> object:
        if verb == "read":
            return list(models.list())
        return models.create_or_update(Model(name="churn", version="1", path=uri(azure)))

    if allowed:
        act()
    else:
        with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
            act()


def test_a_service_that_is_busy_says_when_to_come_again(azure: Azure) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", reason="TooManyRequests", retry_after_seconds=0.01)
    azure.emulator.faults.set(Fault(matching="arm/GET workspaces/models", times=2, refused=busy))

    assert list(azure.client().models.list()) == []
    assert [call.status for call in azure.emulator.calls.list("arm/GET workspaces/models")][-3:] == [
        "RESOURCE_EXHAUSTED",
        "RESOURCE_EXHAUSTED",
        "OK",
    ]
