"""What lists are asked for: honoured, or refused by name; never left out in silence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloudmlops.emulators.azure.arm.queries import PUBLISHED
from cloudmlops.emulators.azure.arm.routes import Route, action_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conftest import Azure

API = "2024-01-01-preview"
STORE = "azureml://datastores/workspaceblobstore/paths/x"
CLIENTS = {
    "azure.ai.ml": "_restclient/arm_ml_service/operations/_operations.py",
    "azure.mgmt.authorization": "**/operations/*_operations.py",
    "azure.mgmt.eventgrid": "operations/*_operations.py",
}
"""Where the installed SDKs build their requests."""
_client = httpx.Client(trust_env=False, verify=False)


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """What all calls of these tests go through is closed at the end."""
    yield
    _client.close()


def call(azure: Azure, method: str, path: str, query: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    path = path if path.startswith(("/subscriptions", "/history", "/mlflow")) else f"{azure.workspace_id}{path}"
    return _client.request(
        method,
        f"{azure.emulator.url}{path}",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API, **(query or {})},
        **more,
    )


def names(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [one["name"] for one in reply.json()["value"]]


def put(azure: Azure, path: str, **properties: Any) -> None:
    call(azure, "PUT", path, json={"properties": properties}).raise_for_status()


def requests_of(package: str, pattern: str) -> Iterator[tuple[str, str, set[str]]]:
    """Read method, path and query names off an SDK's source; nothing of it is executed."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    for file in Path(spec.origin).parent.glob(pattern):
        if "aio" in file.parts:
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not (isinstance(node, ast.FunctionDef) and re.fullmatch(r"build_\w+_request", node.name)):
                continue
            texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
            path = next((str(one) for one in texts if re.match(r"/(subscriptions|\{scope\}|providers)/", str(one))), "")
            source = ast.unparse(node)
            method = re.search(r"method='(\w+)'", source)
            if method and path:
                yield method[1], path, set(re.findall(r"_params\['([^']+)'\]", source)) - {"api-version"}


@pytest.mark.parametrize("package", CLIENTS)
def test_every_query_that_an_sdk_can_send_is_known(azure: Azure, package: str) -> None:
    seen, unknown = 0, []
    for method, path, sent in requests_of(package, CLIENTS[package]):
        found = azure.cloud.routes.find(method, path.replace("{scope}", "/subscriptions/{subscription}"))
        of = "/".join(action_of(method, path).split("/")[1:-1])
        operation = found[0].operation if found else f"{method} {of}"
        if operation not in PUBLISHED and not found:
            continue
        seen += 1
        known = PUBLISHED.get(operation)
        unknown += [
            f"{operation}: {name}"
            for name in sorted(sent)
            if known is None or name.lower() not in known.honoured | known.absent
        ]

    assert seen > 5
    assert not unknown, "a query that the emulator would ignore: add it to arm/queries.py, honoured or absent"


def _lists(azure: Azure) -> Iterator[tuple[Route, str]]:
    """Yield the routes whose queries are known, with a path that they answer at."""
    for route in azure.cloud.routes:
        if route.method == "GET" and PUBLISHED.get(route.operation) and not route.path.endswith("}"):
            path = route.path.replace("{scope}", "").replace("{subscription}", azure.subscription)
            path = path.replace("{group}", azure.group).replace("{workspace}", azure.workspace)
            yield route, re.sub(r"\{\w+\}", "some", path)


def test_what_the_service_filters_by_and_the_emulator_does_not_is_refused_by_name(azure: Azure) -> None:
    tried = 0
    for route, path in _lists(azure):
        for name in (*PUBLISHED[route.operation].absent, "$unheard"):
            reply = _client.get(
                f"{azure.emulator.url}{path or '/'}",
                headers={"authorization": f"Bearer {_token(azure)}"},
                params={"api-version": API, name: "x"},
            )
            tried += 1
            assert reply.status_code == 501, f"{route.operation}?{name}: {reply.text}"
            assert f"query {name} of {route.operation}" in reply.json()["error"]["message"]

    assert tried > 60


def _token(azure: Azure) -> str:
    return azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")


def test_a_name_that_nobody_has_published_is_ignored_as_the_service_does(azure: Azure) -> None:
    assert call(azure, "GET", "/models", {"colour": "blue"}).status_code == 200


def test_versions_of_models_are_found_by_properties_and_counted_off(azure: Azure) -> None:
    for version, of in (("1", "a"), ("2", "b"), ("3", "a")):
        put(azure, f"/models/one/versions/{version}", modelUri=STORE, properties={"of": of})
    path = "/models/one/versions"

    assert names(call(azure, "GET", path, {"properties": "of=a"})) == ["3", "1"]
    assert names(call(azure, "GET", path, {"properties": "other"})) == []
    assert names(call(azure, "GET", path, {"offset": "1"})) == ["2", "1"]
    assert call(azure, "GET", path, {"offset": "x"}).status_code == 400


def test_data_are_found_by_tags_under_the_name_that_they_have_there(azure: Azure) -> None:
    put(azure, "/data/one/versions/1", dataUri=STORE, dataType="uri_folder", tags={"team": "a"})
    put(azure, "/data/one/versions/2", dataUri=STORE, dataType="uri_folder")

    assert names(call(azure, "GET", "/data/one/versions", {"$tags": "team"})) == ["1"]


@pytest.mark.parametrize(("path", "count"), [("models", "count"), ("featurestoreEntities", "pageSize")])
def test_a_page_has_as_many_as_are_asked_for(azure: Azure, path: str, count: str) -> None:
    columns = [{"columnName": "flight", "dataType": "String"}]
    for name in ("one", "two"):
        put(azure, f"/{path}/{name}/versions/1", modelUri=STORE, indexColumns=columns, stage="Development")

    page = call(azure, "GET", f"/{path}", {count: "1"})

    assert names(page) == ["one"]
    assert "nextLink" in page.json()
    assert call(azure, "GET", f"/{path}", {count: "0"}).status_code == 400


def test_endpoints_are_found_by_tags_properties_kind_and_order(azure: Azure) -> None:
    for name, team in (("first", "a"), ("second", "b")):
        call(
            azure,
            "PUT",
            f"/onlineEndpoints/{name}-{azure.workspace}",
            json={
                "location": "westeurope",
                "identity": {"type": "SystemAssigned"},
                "tags": {"team": team},
                "properties": {"authMode": "Key", "properties": {"of": team}},
            },
        ).raise_for_status()
    first, second = (f"{name}-{azure.workspace}" for name in ("first", "second"))

    for query, found in (
        ({}, [first, second]),
        ({"tags": "team=b"}, [second]),
        ({"tags": "zz"}, []),
        ({"properties": "of=a"}, [first]),
        ({"computeType": "Managed"}, [first, second]),
        ({"computeType": "Kubernetes"}, []),
        ({"orderBy": "CreatedTimeDesc"}, [second, first]),
        ({"count": "1"}, [first]),
    ):
        assert names(call(azure, "GET", "/onlineEndpoints", query)) == found, query
    assert call(azure, "GET", "/onlineEndpoints", {"orderBy": "UpdatedTimeAsc"}).status_code == 501


def test_workspaces_are_found_by_kind(azure: Azure) -> None:
    path = azure.cloud.ensure_workspace("mine", group=f"of-{azure.workspace}").rpartition("/")[0]

    assert names(call(azure, "GET", path, {"kind": "Default,Hub", "$top": ""})) == ["mine"]
    assert names(call(azure, "GET", path, {"kind": "Hub"})) == []


def test_what_history_and_mlflow_do_not_filter_by_is_refused_by_name(azure: Azure) -> None:
    workspace = azure.workspace_id
    for path, query in (
        (f"/history/v1.0{workspace}/runs/any/children", "$filter"),
        (f"/mlflow/v2.0{workspace}/api/2.0/mlflow/registered-models/search", "order_by"),
        (f"/mlflow/v2.0{workspace}/api/2.0/mlflow/artifacts/list", "page_token"),
    ):
        reply = call(azure, "GET", path, {query: "name"})
        assert reply.status_code == 501, reply.text
        assert query in reply.text
