"""ML metadata: what is checked, changed and removed."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from .conftest import Connect

KINDS = ("artifact", "execution", "context")


@pytest.fixture(params=["grpc", "rest"])
def metadata(connect: Connect, request: pytest.FixtureRequest) -> Any:
    return connect(v1.MetadataServiceClient, request.param)


@pytest.fixture
def store(metadata: Any, parent: str) -> str:
    made = {"parent": parent, "metadata_store": v1.MetadataStore(), "metadata_store_id": "default"}
    return str(metadata.create_metadata_store(request=made).result().name)


def of_kind(kind: str, **fields: Any) -> Any:
    return getattr(v1, kind.title())(**fields)


def make(metadata: Any, store: str, kind: str, identity: str = "", **fields: Any) -> Any:
    request = {"parent": store, kind: of_kind(kind, **fields), f"{kind}_id": identity}
    return getattr(metadata, f"create_{kind}")(request=request)


def listed(metadata: Any, store: str, kind: str, **asked: Any) -> list[Any]:
    return list(getattr(metadata, f"list_{kind}s")(request={"parent": store, **asked}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_does_not_exist_is_not_found(metadata: Any, parent: str, kind: str) -> None:
    for act in (make, listed):
        with pytest.raises(exceptions.NotFound, match="nowhere"):
            act(metadata, f"{parent}/metadataStores/nowhere", kind)


def test_schemas_of_a_store_that_does_not_exist_are_not_found(metadata: Any, parent: str) -> None:
    with pytest.raises(exceptions.NotFound, match="nowhere"):
        metadata.list_metadata_schemas(parent=f"{parent}/metadataStores/nowhere")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("identity", ["Bad/ID with space", "abc", "Upper", "a" * 129, "under_score"])
def test_an_id_outside_the_rules_is_refused(metadata: Any, store: str, kind: str, identity: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=f"{kind}_id"):
        make(metadata, store, kind, identity)


def test_an_id_that_is_not_given_is_a_uuid(metadata: Any, store: str) -> None:
    assert make(metadata, store, "artifact").name.rpartition("/")[2].count("-") == 4


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_state_that_was_read_is_deleted(metadata: Any, store: str, kind: str) -> None:
    made = make(metadata, store, kind)
    delete = getattr(metadata, f"delete_{kind}")
    with pytest.raises(exceptions.BadRequest, match="etag"):
        delete(request={"name": made.name, "etag": "wrong"})
    delete(request={"name": made.name, "etag": made.etag}).result()
    assert listed(metadata, store, kind) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_made_by_an_update_that_allows_it(metadata: Any, store: str, kind: str) -> None:
    update = getattr(metadata, f"update_{kind}")
    name = f"{store}/{kind}s/made-here"
    with pytest.raises(exceptions.NotFound, match="made-here"):
        update(request={kind: of_kind(kind, name=name, description="new")})
    made = update(request={kind: of_kind(kind, name=name, description="new"), "allow_missing": True})
    assert (made.description, made.create_time) == ("new", made.update_time)
    changed = {kind: of_kind(kind, name=name, description="newer"), "allow_missing": True}
    assert update(request=changed).create_time == made.create_time
    nowhere = of_kind(kind, name=name.replace("default", "nowhere"))
    with pytest.raises(exceptions.NotFound, match="nowhere"):
        update(request={kind: nowhere, "allow_missing": True})


def test_a_store_is_deleted_with_all_that_it_holds(metadata: Any, store: str) -> None:
    artifact = make(metadata, store, "artifact")
    metadata.delete_metadata_store(name=store).result()
    with pytest.raises(exceptions.NotFound):
        metadata.get_artifact(name=artifact.name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_purge_tells_what_it_would_remove_and_removes_it_by_force(metadata: Any, store: str, kind: str) -> None:
    for number in range(3):
        make(metadata, store, kind, f"old-{number}", display_name="old")
    make(metadata, store, kind, "kept-one", display_name="new")
    purge = getattr(metadata, f"purge_{kind}s")

    asked = {"parent": store, "filter": 'display_name="old"'}
    begun = purge(request=asked)
    told = begun.result()
    assert told.purge_count == 3
    assert list(told.purge_sample) == [f"{store}/{kind}s/old-{number}" for number in range(3)]
    assert type(begun.metadata).__name__ == f"Purge{kind.title()}sMetadata"
    assert len(listed(metadata, store, kind)) == 4

    done = purge(request={**asked, "force": True}).result()
    assert (done.purge_count, list(done.purge_sample)) == (3, [])
    assert [found.display_name for found in listed(metadata, store, kind)] == ["new"]
    assert purge(request={**asked, "force": True}).result().purge_count == 0


def test_a_purge_shows_a_hundred_names_at_most(metadata: Any, store: str) -> None:
    for number in range(101):
        make(metadata, store, "artifact", f"old-{number}")
    told = metadata.purge_artifacts(request={"parent": store, "filter": 'uri=""'}).result()
    assert (told.purge_count, len(told.purge_sample)) == (101, 100)


def test_a_purge_of_everything_or_of_nowhere_is_refused(metadata: Any, store: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="filter"):
        metadata.purge_artifacts(request={"parent": store, "force": True})
    with pytest.raises(exceptions.BadRequest, match="filter"):
        metadata.purge_artifacts(request={"parent": store, "filter": "(uri="})
    with pytest.raises(exceptions.NotFound, match="nowhere"):
        metadata.purge_artifacts(request={"parent": store.replace("default", "nowhere"), "filter": 'uri=""'})


def test_what_belongs_to_a_context_is_purged_by_it(metadata: Any, store: str) -> None:
    context = make(metadata, store, "context", "tuning")
    inside = make(metadata, store, "artifact")
    make(metadata, store, "artifact")
    metadata.add_context_artifacts_and_executions(context=context.name, artifacts=[inside.name])
    asked = {"parent": store, "filter": f'in_context("{context.name}")'}
    assert list(metadata.purge_artifacts(request=asked).result().purge_sample) == [inside.name]
