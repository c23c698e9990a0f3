"""Lists of assets, the same for all kinds: views, stages, tags, orders, pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloudmlops.emulators.azure.arm.paging import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conftest import Azure

API = "2023-10-01"
STORE = "azureml://datastores/workspaceblobstore/paths/x"
KINDS: Mapping[str, Mapping[str, Any]] = {
    "models": {"modelUri": STORE},
    "data": {"dataUri": STORE, "dataType": "uri_folder"},
    "environments": {"image": "contoso/trainer:1"},
    "components": {"componentSpec": {"type": "command", "command": "true", "name": "one"}},
    "codes": {"codeUri": STORE},
    "featuresets": {"entities": ["azureml:flight:1"], "specification": {"path": STORE}},
    "featurestoreEntities": {"indexColumns": [{"columnName": "flight", "dataType": "String"}]},
}
STAGED = ("models", "data", "environments", "featuresets", "featurestoreEntities")
"""The kinds whose versions have a stage that is given."""
_client = httpx.Client(trust_env=False, verify=False)


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """What all calls of these tests go through is closed at the end."""
    yield
    _client.close()


def call(azure: Azure, method: str, path: str, query: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    url = path if path.startswith("https://") else f"{azure.workspace_id}{path}"
    return _client.request(
        method,
        url.replace("https://management.azure.com", azure.emulator.url) if "://" in url else azure.emulator.url + url,
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API, **(query or {})} if "://" not in url else None,
        **more,
    )


def put(azure: Azure, kind: str, version: str, *, name: str = "one", **given: Any) -> None:
    body = {"properties": {**KINDS[kind], **given}}
    call(azure, "PUT", f"/{kind}/{name}/versions/{version}", json=body).raise_for_status()


def names(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [one["name"] for one in reply.json()["value"]]


@pytest.mark.parametrize("kind", KINDS)
def test_versions_are_listed_by_view_tags_order_and_number(azure: Azure, kind: str) -> None:
    put(azure, kind, "1", tags={"team": "a", "goal": "x"})
    put(azure, kind, "2", isArchived=True)
    put(azure, kind, "3", tags={"team": "b"})
    path = f"/{kind}/one/versions"

    for query, found in (
        ({}, ["3", "1"]),
        ({"listViewType": "ActiveOnly"}, ["3", "1"]),
        ({"listViewType": "ArchivedOnly"}, ["2"]),
        ({"listViewType": "All"}, ["3", "2", "1"]),
        ({"tags": "team"}, ["3", "1"]),
        ({"tags": "team=a,goal"}, ["1"]),
        ({"tags": "team=c"}, []),
        ({"$orderBy": "createdtime asc"}, ["1", "3"]),
        ({"$orderBy": "createdtime desc", "$top": "1"}, ["3"]),
    ):
        assert names(call(azure, "GET", path, query)) == found, query
    for wrong in ({"listViewType": "Some"}, {"$orderBy": "name"}, {"$top": "0"}, {"$top": "x"}):
        assert call(azure, "GET", path, wrong).status_code == 400, wrong


@pytest.mark.parametrize("kind", STAGED)
def test_versions_are_listed_by_their_stage(azure: Azure, kind: str) -> None:
    put(azure, kind, "1", stage="Production")
    put(azure, kind, "2", stage="Development")

    assert names(call(azure, "GET", f"/{kind}/one/versions", {"stage": "Production"})) == ["1"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_much_for_a_page_is_reached_by_following_its_links(azure: Azure, kind: str) -> None:
    for number in range(PAGE + 2):
        put(azure, kind, str(number + 1))
    for letter in "abc":
        put(azure, kind, "1", name=letter)

    found, reply = [], call(azure, "GET", f"/{kind}/one/versions")
    pages = 0
    while True:
        found += names(reply)
        pages += 1
        if "nextLink" not in reply.json():
            break
        reply = call(azure, "GET", reply.json()["nextLink"])

    assert pages == 2
    assert found == [str(number) for number in range(PAGE + 2, 0, -1)]
    assert names(call(azure, "GET", f"/{kind}")) == ["one", "a", "b", "c"]


def test_who_asks_for_the_first_few_versions_is_led_to_the_rest(azure: Azure) -> None:
    put(azure, "components", "1")
    put(azure, "components", "2")

    first = call(azure, "GET", "/components/one/versions", {"$top": "1", "$orderBy": "createdtime desc"})
    second = call(azure, "GET", first.json()["nextLink"])

    assert (names(first), names(second)) == (["2"], ["1"])
    assert "$top=1" in first.json()["nextLink"].replace("%24", "$")
    assert "nextLink" not in second.json()


def test_places_of_pages_that_nobody_gave_are_refused(azure: Azure) -> None:
    put(azure, "models", "1")

    assert call(azure, "GET", "/models/one/versions", {"$skip": "1"}).status_code == 501
    assert call(azure, "GET", "/models/one/versions", {"$skipToken": "x"}).status_code == 400
