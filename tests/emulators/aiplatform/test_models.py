from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from .conftest import Connect


@pytest.fixture(params=["grpc", "rest"])
def models(connect: Connect, request: pytest.FixtureRequest) -> Any:
    return connect(v1.ModelServiceClient, request.param)


@pytest.fixture
def churn(models: Any, parent: str) -> str:
    """A model with two versions; the bare name."""
    request = {"parent": parent, "model_id": "churn", "model": v1.Model(display_name="Churn", labels={"a": "1"})}
    name: str = models.upload_model(request=request).result().model
    again = {"parent": parent, "parent_model": name, "model": v1.Model(display_name="Churn", labels={"a": "2"})}
    models.upload_model(request=again).result()
    return name


def aliases(models: Any, name: str) -> list[list[str]]:
    found = sorted(models.list_model_versions(name=name), key=lambda known: int(known.version_id))
    return [list(known.version_aliases) for known in found]


def test_versions_count_up_and_the_first_is_the_default(models: Any, churn: str) -> None:
    assert aliases(models, churn) == [["default"], []]
    assert models.get_model(name=churn).version_id == "1"
    assert models.get_model(name=f"{churn}@2").version_id == "2"
    assert models.get_model(name=f"{churn}@default").version_id == "1"


def test_an_alias_belongs_to_one_version_and_moves(models: Any, churn: str) -> None:
    models.merge_version_aliases(name=f"{churn}@1", version_aliases=["production"])
    models.merge_version_aliases(name=f"{churn}@2", version_aliases=["production", "default"])
    assert aliases(models, churn) == [[], ["production", "default"]]
    models.merge_version_aliases(name=f"{churn}@production", version_aliases=["-production"])
    assert aliases(models, churn) == [[], ["default"]]


@pytest.mark.parametrize("alias", ["1st", "With space", "a", "-default", "Upper"])
def test_an_alias_outside_the_rules_is_refused(models: Any, churn: str, alias: str) -> None:
    with pytest.raises(exceptions.BadRequest):
        models.merge_version_aliases(name=f"{churn}@1", version_aliases=[alias])


def test_labels_of_a_version_and_of_the_model_are_shown_together(models: Any, churn: str) -> None:
    paths = {"paths": ["labels"]}
    models.update_model(model=v1.Model(name=churn, labels={"team": "growth", "a": "model"}), update_mask=paths)
    models.update_model(model=v1.Model(name=f"{churn}@2", labels={"a": "version"}), update_mask=paths)
    assert models.get_model(name=f"{churn}@1").labels == {"a": "1", "team": "growth"}
    assert models.get_model(name=f"{churn}@2").labels == {"a": "version", "team": "growth"}


def test_labels_outside_the_rules_are_refused(models: Any, parent: str) -> None:
    for labels in ({"Upper": "x"}, {"x": "With Space"}, {f"k{number}": "v" for number in range(65)}, {"k": "v" * 64}):
        with pytest.raises(exceptions.BadRequest):
            models.upload_model(parent=parent, model=v1.Model(display_name="m", labels=labels))


def test_a_name_that_is_taken_wants_a_parent_model(models: Any, churn: str, parent: str) -> None:
    request = {"parent": parent, "model_id": "churn", "model": v1.Model(display_name="Churn")}
    with pytest.raises(exceptions.Conflict, match="parent_model"):
        models.upload_model(request=request)
    with pytest.raises(exceptions.NotFound):
        models.upload_model(request={**request, "model_id": "", "parent_model": f"{parent}/models/none"})


def test_the_default_and_the_only_version_stay(models: Any, churn: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="default"):
        models.delete_model_version(name=f"{churn}@1")
    models.delete_model_version(name=f"{churn}@2").result()
    with pytest.raises(exceptions.BadRequest, match="only version"):
        models.delete_model_version(name=f"{churn}@1")
    models.delete_model(name=churn).result()
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=churn)


def test_a_version_that_many_remove_at_once_is_gone_for_all_but_one(models: Any, churn: str, parent: str) -> None:
    def remove(name: str) -> int:
        try:
            models.delete_model_version(name=name).result()
        except exceptions.GoogleAPICallError as error:
            return error.code
        return 200

    models.delete_model_version(name=f"{churn}@2").result()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            request = {"parent": parent, "parent_model": churn, "model": v1.Model(display_name="Churn")}
            added = models.upload_model(request=request).result().model_version_id
            answers = sorted(threads.map(remove, [f"{churn}@{added}"] * 8))
            assert answers == [200] + [404] * 7


def test_a_number_is_never_used_again(models: Any, churn: str, parent: str) -> None:
    models.delete_model_version(name=f"{churn}@2").result()
    again = {"parent": parent, "parent_model": churn, "model": v1.Model(display_name="Churn")}
    assert models.upload_model(request=again).result().model_version_id == "3"


def test_models_are_listed_as_their_default_version_the_newest_first(models: Any, churn: str, parent: str) -> None:
    models.upload_model(parent=parent, model=v1.Model(display_name="Other")).result()
    assert [known.display_name for known in models.list_models(parent=parent)] == ["Other", "Churn"]
    found = models.list_models(request={"parent": parent, "filter": 'display_name="Churn"'})
    assert [known.version_id for known in found] == ["1"]


def change(models: Any, name: str, paths: list[str], **fields: Any) -> Any:
    return models.update_model(model=v1.Model(name=name, **fields), update_mask={"paths": paths})


def test_aliases_are_merged_and_never_updated(models: Any, churn: str) -> None:
    for name in (churn, f"{churn}@1"):
        with pytest.raises(exceptions.BadRequest, match="MergeVersionAliases"):
            change(models, name, ["version_aliases"], version_aliases=["production"])
    assert models.get_model(name=churn).version_aliases == ["default"]


def test_a_mask_of_all_changes_what_the_name_stands_for(models: Any, churn: str) -> None:
    change(models, churn, ["*"], display_name="New", description="all", labels={"team": "growth"})
    change(models, f"{churn}@2", ["*"], version_description="second")
    first, second = (models.get_model(name=f"{churn}@{number}") for number in (1, 2))
    assert (first.display_name, first.description, first.labels) == ("New", "all", {"a": "1", "team": "growth"})
    assert (second.display_name, second.version_description, second.labels) == ("New", "second", {"team": "growth"})
    assert first.version_description == ""


def test_fields_of_the_model_and_of_a_version_are_updated_by_their_own_names(models: Any, churn: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="without a version"):
        change(models, f"{churn}@2", ["display_name"], display_name="New")
    with pytest.raises(exceptions.BadRequest, match="@VERSION"):
        change(models, churn, ["version_description"], version_description="new")
    with pytest.raises(exceptions.BadRequest, match="artifact_uri"):
        change(models, churn, ["artifact_uri"], artifact_uri="gs://b/m")
    with pytest.raises(exceptions.BadRequest, match="display_name"):
        change(models, churn, ["display_name"])
    assert change(models, f"{churn}@-", ["display_name"], display_name="New").display_name == "New"


def test_an_update_of_what_versions_share_is_a_change_of_each(models: Any, churn: str) -> None:
    before = [models.get_model(name=f"{churn}@{number}") for number in (1, 2)]
    change(models, churn, ["description"], description="new")
    after = [models.get_model(name=f"{churn}@{number}") for number in (1, 2)]
    for old, new in zip(before, after, strict=True):
        assert new.etag != old.etag
        assert new.update_time > old.update_time
    with pytest.raises(exceptions.Conflict, match="etag"):
        change(models, f"{churn}@2", ["labels"], labels={"a": "b"}, etag=before[1].etag)


def test_a_new_version_is_put_where_its_model_is(models: Any, churn: str, parent: str) -> None:
    model = v1.Model(display_name="Churn")
    with pytest.raises(exceptions.BadRequest, match="one only"):
        models.upload_model(request={"parent": parent, "parent_model": churn, "model_id": "x", "model": model})
    for elsewhere in (churn.replace("europe-west4", "us-central1"), f"{parent}/endpoints/1", "churn"):
        with pytest.raises(exceptions.BadRequest, match="parent_model"):
            models.upload_model(request={"parent": parent, "parent_model": elsewhere, "model": model})


def test_a_list_shows_the_fields_of_its_read_mask(models: Any, churn: str, parent: str) -> None:
    mask = {"paths": ["display_name", "labels"]}
    listed = list(models.list_models(request={"parent": parent, "read_mask": mask}))
    assert listed == [v1.Model(display_name="Churn", labels={"a": "1"})]
    versions = models.list_model_versions(request={"name": churn, "read_mask": {"paths": ["version_id"]}})
    assert list(versions) == [v1.Model(version_id="1"), v1.Model(version_id="2")]
    assert next(iter(models.list_models(request={"parent": parent, "read_mask": {"paths": ["*"]}}))).etag
    with pytest.raises(exceptions.BadRequest, match="read mask"):
        models.list_models(request={"parent": parent, "read_mask": {"paths": ["colour"]}})
