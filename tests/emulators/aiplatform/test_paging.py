"""Pages of lists that change while they are read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.emulators.google.aiplatform.paging import newest_first, page

from .conftest import Connect

SOURCE = v1.FeatureGroup.BigQuery(big_query_source=v1.BigQuerySource(input_uri="bq://p.d.t"))
ORDERS = ("", "display_name", "display_name desc", "create_time desc, display_name", "labels.team desc")
MODEL = st.builds(
    lambda number, name, team, seconds: v1.Model.pb(
        v1.Model(
            name=f"models/{number}",
            display_name=name,
            labels={"team": team} if team else {},
            create_time=f"2026-01-01T00:00:0{seconds}Z",
        )
    ),
    st.integers(0, 40),
    st.sampled_from("abc"),
    st.sampled_from(["", "x", "y"]),
    st.integers(0, 3),
)


@pytest.fixture(params=["grpc", "rest"])
def registry(connect: Connect, request: pytest.FixtureRequest) -> Any:
    return connect(v1.FeatureRegistryServiceClient, request.param)


def identity(resource: Any) -> str:
    return str(resource.name.rpartition("/")[2])


def make(registry: Any, parent: str, *identities: str) -> None:
    for wanted in identities:
        group = v1.FeatureGroup(big_query=SOURCE)
        registry.create_feature_group(parent=parent, feature_group=group, feature_group_id=wanted).result()


def walk(asked: Any, request: dict[str, Any], field: str, between: Any) -> list[Any]:
    """Return what all pages show; `between` is called after each with its number, the first is 0."""
    found: list[Any] = []
    token = ""
    for number in range(100):
        part = next(iter(asked(request={**request, "page_size": 2, "page_token": token}).pages))
        found += getattr(part, field)
        token = part.next_page_token
        if not token:
            return found
        between(number)
    raise AssertionError("pages without end")


def test_a_deletion_between_pages_leaves_nothing_out(registry: Any, parent: str) -> None:
    make(registry, parent, "a", "b", "c", "d", "e")

    def between(number: int) -> None:
        if number == 0:
            registry.delete_feature_group(name=f"{parent}/featureGroups/a").result()
            registry.delete_feature_group(name=f"{parent}/featureGroups/b").result()  # the last that was shown

    shown = walk(registry.list_feature_groups, {"parent": parent}, "feature_groups", between)
    assert [identity(group) for group in shown] == ["a", "b", "c", "d", "e"]


def test_an_insertion_between_pages_shows_nothing_twice(registry: Any, parent: str) -> None:
    make(registry, parent, "b", "d", "f")

    def between(number: int) -> None:
        make(registry, parent, "a", "e")

    shown = walk(registry.list_feature_groups, {"parent": parent}, "feature_groups", between)
    assert [identity(group) for group in shown] == ["b", "d", "e", "f"]


def test_the_newest_first_goes_on_where_it_was(connect: Connect, parent: str) -> None:
    models = connect(v1.ModelServiceClient)

    def upload(name: str) -> str:
        return str(models.upload_model(parent=parent, model=v1.Model(display_name=name)).result().model)

    kept = [upload(name) for name in "abcd"]

    def between(number: int) -> None:
        if number == 0:
            upload("new")
            models.delete_model(name=kept[3]).result()

    shown = walk(models.list_models, {"parent": parent}, "models", between)
    assert [model.display_name for model in shown] == ["d", "c", "b", "a"]


def test_versions_are_paged_by_their_number(connect: Connect, parent: str) -> None:
    models = connect(v1.ModelServiceClient)
    model = v1.Model(display_name="m")
    name = models.upload_model(parent=parent, model=model).result().model
    for _ in range(11):
        models.upload_model(request={"parent": parent, "parent_model": name, "model": model}).result()

    def between(number: int) -> None:
        if number == 4:
            models.delete_model_version(name=f"{name}@3").result()

    shown = walk(models.list_model_versions, {"name": name}, "models", between)
    assert [version.version_id for version in shown] == [str(number) for number in range(1, 13)]


def test_an_order_of_the_callers_own_goes_on_where_it_was(connect: Connect, parent: str) -> None:
    metadata = connect(v1.MetadataServiceClient)
    made = {"parent": parent, "metadata_store": v1.MetadataStore(), "metadata_store_id": "default"}
    store = metadata.create_metadata_store(request=made).result().name
    for wanted, shown in (("aaaa", "x"), ("bbbb", "z"), ("cccc", "y"), ("dddd", "y"), ("eeee", "")):
        artifact = v1.Artifact(display_name=shown)
        metadata.create_artifact(parent=store, artifact=artifact, artifact_id=wanted)

    def between(number: int) -> None:
        if number == 0:
            metadata.delete_artifact(name=f"{store}/artifacts/bbbb").result()

    request = {"parent": store, "order_by": "display_name desc"}
    shown = walk(metadata.list_artifacts, request, "artifacts", between)
    assert [identity(one)[0] for one in shown] == list("bcdae")


@pytest.mark.parametrize(
    "other", [{"filter": "labels.team=growth"}, {"order_by": "create_time"}, {"parent": "projects/q"}]
)
def test_a_token_of_another_question_is_refused(registry: Any, parent: str, other: dict[str, str]) -> None:
    make(registry, parent, "a", "b")
    token = registry.list_feature_groups(request={"parent": parent, "page_size": 1}).next_page_token
    if "parent" in other:
        other = {"parent": f"{parent}2".replace("europe-west42", "europe-west1")}
    with pytest.raises(exceptions.BadRequest, match="page token"):
        registry.list_feature_groups(request={"parent": parent, "page_token": token, **other})


def test_a_token_holds_for_a_project_by_id_and_by_number_and_in_both_versions(connect: Connect, parent: str) -> None:
    registry = connect(v1.FeatureRegistryServiceClient)
    make(registry, parent, "a", "b")
    first = registry.list_feature_groups(request={"parent": parent, "page_size": 1})
    by_number = next(iter(first)).name.partition("/featureGroups/")[0]
    token = registry.list_feature_groups(request={"parent": parent, "page_size": 1}).next_page_token
    beta = connect(v1beta1.FeatureRegistryServiceClient)
    rest = beta.list_feature_groups(request={"parent": by_number, "page_token": token})
    assert [identity(group) for group in rest] == ["b"]


def test_a_token_that_was_never_given_is_refused(registry: Any, parent: str) -> None:
    make(registry, parent, "a", "b")
    given = registry.list_feature_groups(request={"parent": parent, "page_size": 1}).next_page_token
    question = json.loads(base64.urlsafe_b64decode(given))[0]
    forged = [base64.urlsafe_b64encode(json.dumps([question, last]).encode()).decode() for last in (7, [], [[7]])]
    for token in ("nonsense", "é", base64.urlsafe_b64encode(b"[]").decode(), *forged):
        with pytest.raises(exceptions.BadRequest, match="page token"):
            registry.list_feature_groups(request={"parent": parent, "page_token": token})


def test_what_has_no_order_is_not_ordered_by(registry: Any, parent: str) -> None:
    make(registry, parent, "a", "b")
    for order in ("big_query", "colour", "create_time sideways", "create_time,"):
        with pytest.raises(exceptions.BadRequest, match="order"):
            registry.list_feature_groups(request={"parent": parent, "order_by": order})


@given(
    before=st.lists(MODEL, unique_by=lambda model: model.name),
    changes=st.lists(st.tuples(st.booleans(), MODEL), max_size=12),
    order=st.sampled_from(ORDERS),
    size=st.integers(1, 4),
)
def test_what_was_there_throughout_is_shown_once(
    before: list[Any], changes: list[tuple[bool, Any]], order: str, size: int
) -> None:
    there = {model.name: model for model in before}
    throughout = set(there)
    shown: list[str] = []
    request = v1.ListFeatureGroupsRequest.pb(v1.ListFeatureGroupsRequest(order_by=order, page_size=size))
    while True:
        part, request.page_token = page(list(there.values()), request, kind=v1.Model.pb(), natural=newest_first)
        shown += [model.name for model in part]
        if not request.page_token:
            break
        for keep, model in changes[:3]:
            if keep and model.name not in there:
                there[model.name] = model
            elif not keep:
                there.pop(model.name, None)
                throughout.discard(model.name)
        changes = changes[3:]
    assert throughout <= set(shown)
    assert all(shown.count(name) == 1 for name in throughout)
