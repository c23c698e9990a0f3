from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1
from google.protobuf.timestamp_pb2 import Timestamp

from cloudmlops.emulators.core.emulator import Emulator

from .conftest import Connect

GROUP = v1.FeatureGroup(
    big_query=v1.FeatureGroup.BigQuery(big_query_source=v1.BigQuerySource(input_uri="bq://p.d.t")),
    labels={"team": "growth"},
)


@pytest.fixture(params=["grpc", "rest"])
def registry(connect: Connect, request: pytest.FixtureRequest) -> v1.FeatureRegistryServiceClient:
    return connect(v1.FeatureRegistryServiceClient, request.param)


@pytest.fixture
def group(registry: Any, parent: str) -> v1.FeatureGroup:
    return registry.create_feature_group(parent=parent, feature_group=GROUP, feature_group_id="flights").result()


def test_a_resource_gets_a_name_by_project_number_times_and_an_etag(group: v1.FeatureGroup, parent: str) -> None:
    project = group.name.split("/")[1]
    assert project.isdigit()
    assert group.name == f"projects/{project}/locations/europe-west4/featureGroups/flights"
    assert group.etag
    assert group.create_time == group.update_time


def test_a_resource_is_read_by_project_id_and_by_number(registry: Any, group: v1.FeatureGroup, parent: str) -> None:
    assert registry.get_feature_group(name=f"{parent}/featureGroups/flights") == group
    assert registry.get_feature_group(name=group.name) == group


def test_a_name_that_is_taken_is_refused(registry: Any, group: v1.FeatureGroup, parent: str) -> None:
    with pytest.raises(exceptions.Conflict):
        registry.create_feature_group(parent=parent, feature_group=GROUP, feature_group_id="flights")


def test_what_does_not_exist_is_not_found(registry: Any, parent: str) -> None:
    with pytest.raises(exceptions.NotFound, match="nothing"):
        registry.get_feature_group(name=f"{parent}/featureGroups/nothing")
    with pytest.raises(exceptions.NotFound, match="nothing"):
        registry.delete_feature_group(name=f"{parent}/featureGroups/nothing")
    with pytest.raises(exceptions.NotFound, match="nothing"):
        registry.create_feature(parent=f"{parent}/featureGroups/nothing", feature=v1.Feature(), feature_id="f")


def test_required_fields_are_named(registry: Any, parent: str) -> None:
    empty = v1.FeatureGroup(big_query=v1.FeatureGroup.BigQuery())
    with pytest.raises(exceptions.BadRequest, match=r"feature_group\.big_query\.big_query_source"):
        registry.create_feature_group(parent=parent, feature_group=empty, feature_group_id="g")
    with pytest.raises(exceptions.BadRequest, match="feature_group_id"):
        registry.create_feature_group(parent=parent, feature_group=GROUP)


def test_a_location_that_does_not_exist_is_refused(connect: Connect) -> None:
    with pytest.raises(exceptions.BadRequest, match="mars-north1"):
        connect(v1.ModelServiceClient).get_model(name="projects/p/locations/mars-north1/models/1")


def test_a_mask_says_what_is_updated(registry: Any, group: v1.FeatureGroup) -> None:
    given = v1.FeatureGroup(name=group.name, description="new", labels={"other": "label"})
    updated = registry.update_feature_group(feature_group=given, update_mask={"paths": ["description"]}).result()
    assert updated.description == "new"
    assert updated.labels == {"team": "growth"}
    assert updated.etag != group.etag


def test_a_mask_replaces_a_map_whole(registry: Any, group: v1.FeatureGroup) -> None:
    given = v1.FeatureGroup(name=group.name, labels={"other": "label"})
    updated = registry.update_feature_group(feature_group=given, update_mask={"paths": ["labels"]}).result()
    assert updated.labels == {"other": "label"}


def test_a_mask_of_what_does_not_exist_or_cannot_change_is_refused(registry: Any, group: v1.FeatureGroup) -> None:
    for path in ("colour", "create_time", "name", "big_query.colour", "description.colour"):
        given = v1.FeatureGroup(name=group.name)
        with pytest.raises((exceptions.BadRequest, exceptions.NotFound)):
            registry.update_feature_group(feature_group=given, update_mask={"paths": [path]}).result()


def test_a_mask_whose_paths_are_not_written_as_fields_are_is_refused(connect: Connect, group: v1.FeatureGroup) -> None:
    given = v1.FeatureGroup(name=group.name, description="new")
    with pytest.raises(exceptions.BadRequest, match="bigQuery"):
        connect(v1.FeatureRegistryServiceClient).update_feature_group(
            feature_group=given, update_mask={"paths": ["bigQuery"]}, retry=None, timeout=10
        )


def test_an_older_etag_is_refused(registry: Any, group: v1.FeatureGroup) -> None:
    first = v1.FeatureGroup(name=group.name, description="a", etag=group.etag)
    registry.update_feature_group(feature_group=first, update_mask={"paths": ["description"]}).result()
    with pytest.raises(exceptions.Conflict):
        registry.update_feature_group(feature_group=first, update_mask={"paths": ["description"]}).result()


def test_what_has_children_is_deleted_by_force_only(registry: Any, group: v1.FeatureGroup) -> None:
    feature = registry.create_feature(parent=group.name, feature=v1.Feature(), feature_id="delay").result()
    with pytest.raises(exceptions.BadRequest, match="delay"):
        registry.delete_feature_group(name=group.name)
    registry.delete_feature_group(name=group.name, force=True).result()
    with pytest.raises(exceptions.NotFound):
        registry.get_feature(name=feature.name)


def test_lists_are_filtered_ordered_and_paged(registry: Any, parent: str) -> None:
    for number in range(25):
        made = v1.FeatureGroup(big_query=GROUP.big_query, labels={"even": str(number % 2 == 0).lower()})
        registry.create_feature_group(parent=parent, feature_group=made, feature_group_id=f"g{number:02}").result()

    def ids(**asked: Any) -> list[str]:
        found = registry.list_feature_groups(request={"parent": parent, **asked})
        return [known.name.rpartition("/")[2] for known in found]

    assert len(ids()) == 25
    assert ids(page_size=4) == ids()
    assert ids(filter='labels.even="false"', page_size=5) == [f"g{number:02}" for number in range(1, 25, 2)]
    # OR binds more tightly than AND (AIP-160).
    assert ids(filter="labels.even=true AND NOT labels.even=false OR labels.even=false")[:2] == ["g00", "g02"]
    assert ids(filter="labels.missing:*") == []
    assert ids(order_by="create_time desc")[0] == "g24"
    later = Timestamp()
    later.FromJsonString("2100-01-01T00:00:00Z")
    assert ids(filter='create_time>"2100-01-01T00:00:00Z"') == []


def test_a_filter_that_is_not_understood_is_refused(registry: Any, group: v1.FeatureGroup, parent: str) -> None:
    for text in ("labels.a=", "(labels.a=b", "colour=red", "create_time>yesterday"):
        with pytest.raises(exceptions.BadRequest):
            list(registry.list_feature_groups(request={"parent": parent, "filter": text}))


def test_both_versions_of_the_interface_see_the_same(connect: Connect, group: v1.FeatureGroup) -> None:
    beta = connect(v1beta1.FeatureRegistryServiceClient)
    assert beta.get_feature_group(name=group.name).labels == {"team": "growth"}
    feature = beta.create_feature(parent=group.name, feature=v1beta1.Feature(), feature_id="delay").result()
    assert isinstance(feature, v1beta1.Feature)
    assert connect(v1.FeatureRegistryServiceClient).get_feature(name=feature.name).name == feature.name


def test_what_is_not_emulated_says_so(connect: Connect, parent: str) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="SearchMigratableResources"):
        list(connect(v1.MigrationServiceClient).search_migratable_resources(parent=parent))


def test_what_is_held_in_a_folder_is_there_after_a_restart(tmp_path: Any) -> None:
    import grpc

    from cloudmlops.emulators.google import vertex_emulator

    def client(emulator: Emulator) -> Any:
        kind = v1.FeatureRegistryServiceClient
        return kind(transport=kind.get_transport_class("grpc")(channel=grpc.insecure_channel(emulator.address)))

    parent = "projects/kept/locations/europe-west4"
    with vertex_emulator(state=tmp_path) as emulator:
        made = client(emulator).create_feature_group(parent=parent, feature_group=GROUP, feature_group_id="g").result()
    with vertex_emulator(state=tmp_path) as emulator:
        assert client(emulator).get_feature_group(name=made.name) == made


def test_the_direction_of_an_order_may_be_written_in_any_case(registry: Any, parent: str) -> None:
    for identity in ("a", "b", "c"):
        registry.create_feature_group(parent=parent, feature_group=GROUP, feature_group_id=identity).result()
    listed = registry.list_feature_groups(request={"parent": parent, "order_by": "name DESC"})
    assert [found.name.rpartition("/")[2] for found in listed] == ["c", "b", "a"]


def test_pages_of_a_negative_size_or_of_another_question_are_refused(registry: Any, parent: str) -> None:
    for identity in ("a", "b", "c"):
        registry.create_feature_group(parent=parent, feature_group=GROUP, feature_group_id=identity).result()
    with pytest.raises(exceptions.BadRequest, match="page size"):
        registry.list_feature_groups(request={"parent": parent, "page_size": -2})
    token = registry.list_feature_groups(request={"parent": parent, "page_size": 1}).next_page_token
    other = {"parent": parent, "page_size": 2, "page_token": token}
    assert len(list(registry.list_feature_groups(request=other))) == 2
    with pytest.raises(exceptions.BadRequest, match="token"):
        registry.list_feature_groups(request={**other, "filter": 'labels.team="growth"'})


@pytest.mark.parametrize("location", ["europe-west4", "mars-north1"])
def test_a_users_words_are_kept_even_when_they_look_like_a_name(registry: Any, parent: str, location: str) -> None:
    text = f"projects/some-id/locations/{location}/featureGroups/old"
    given = v1.FeatureGroup(big_query=GROUP.big_query, description=text)
    made = registry.create_feature_group(parent=parent, feature_group=given, feature_group_id="g").result()
    assert made.description == text


def test_a_project_within_a_domain_is_one_over_either_transport(connect: Connect, parent: str) -> None:
    parent = parent.replace("projects/", "projects/example.com:")
    for transport in ("grpc", "rest"):
        registry = connect(v1.FeatureRegistryServiceClient, transport)
        request = {"parent": parent, "feature_group": GROUP, "feature_group_id": transport}
        made = registry.create_feature_group(request=request).result()
        assert registry.get_feature_group(name=f"{parent}/featureGroups/{transport}") == made
        assert made in registry.list_feature_groups(parent=parent)
        models = connect(v1.ModelServiceClient, transport)
        name = models.upload_model(parent=parent, model=v1.Model(display_name="m")).result().model
        number = name.split("/")[1]
        assert number.isdigit()
        by_id = name.replace(f"/{number}/", f"/{parent.split('/')[1]}/")
        assert models.merge_version_aliases(name=by_id, version_aliases=["live"]).version_aliases == ["default", "live"]
