"""Filters of list methods: what Google's documentation of them says, and nothing that it does not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.documentation import documentation
from cloudmlops.emulators.google.aiplatform.filtering import test_of as filtered

from .conftest import Connect

LISTED = [
    *("Artifacts", "BatchPredictionJobs", "Contexts", "CustomJobs", "Datasets", "Endpoints", "Executions"),
    *("FeatureGroups", "FeatureOnlineStores", "Features", "FeatureViews", "FeatureViewSyncs"),
    *("HyperparameterTuningJobs", "Models", "ModelVersions", "PipelineJobs"),
]


@pytest.fixture(params=["grpc", "rest"])
def models(connect: Connect, parent: str, request: pytest.FixtureRequest) -> Any:
    client = connect(v1.ModelServiceClient, request.param)
    made = (("my_job_1", {"k": "b", "team": "x"}), ("my_job_2", {"k": ""}), ("other[1]", {}))
    for number, (name, labels) in enumerate(made):
        model = v1.Model(display_name=name, labels=labels, description="told" if number == 0 else "")
        client.upload_model(request={"parent": parent, "model": model, "model_id": f"m{number}"}).result()
    return client


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('display_name:"my_job_*"', "01"),
        ('display_name:"*job*"', "01"),
        ('display_name:"zzz*"', ""),
        ('displayName="my_job_1"', "0"),
        ('display_name="other[1]*"', "2"),
        ("labels:k", "01"),
        ("labels.k:*", "01"),
        ("labels:zz", ""),
        ("labels.k:b", "0"),
        ("labels.k:zzz", ""),
        ('labels."team"="x"', "0"),
        ("description:*", "0"),
        ("container_spec:*", ""),
        ("model=m1", "1"),
        ('model!="m1"', "02"),
        ("create_time>2020-11-19T11:30:00-04:00", "012"),
    ],
)
def test_a_filter_finds_what_it_asks_for_and_nothing_else(models: Any, parent: str, text: str, expected: str) -> None:
    found = models.list_models(request={"parent": parent, "filter": text})
    assert sorted(model.name[-1] for model in found) == list(expected)


@pytest.mark.parametrize(
    "text",
    [
        "display_name.foo=b",
        "display_name.foo:*",
        "create_time.seconds=1",
        "container_spec.colour=red",
        "version_create_time:yesterday",
        "labels.=b",
        "labels..k=b",
        'supported_export_formats.id."=x',
    ],
)
def test_a_path_that_leads_nowhere_is_refused(models: Any, parent: str, text: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid filter"):
        list(models.list_models(request={"parent": parent, "filter": text}))


@pytest.mark.parametrize("transport", ["grpc", "rest"])
@pytest.mark.parametrize(
    "asked",
    [
        {"filter": "no_such_field=1"},
        {"filter": 'display_name="zzz" AND no_such_field=1'},
        {"filter": "deployed_models.no_such_field=1"},
        {"order_by": "no_such_field"},
    ],
    ids=str,
)
def test_an_unknown_field_is_refused_where_nothing_is_listed(
    connect: Connect, parent: str, transport: str, asked: dict[str, str]
) -> None:
    client = connect(v1.EndpointServiceClient, transport)

    with pytest.raises(exceptions.BadRequest, match="no field"):
        client.list_endpoints(request={"parent": parent, **asked})

    assert not list(client.list_endpoints(request={"parent": parent, "filter": "deployed_models.display_name:x"}))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('display_name:"zzz"', "display_name:zzz"),
        ('baseModelName="text-bison"', "base_model_name"),
        ('regex(display_name, "^A")', "regular expression"),
        ('displayName=~"^A"', "regular expression"),
    ],
)
def test_a_filter_that_google_has_and_the_emulator_has_not_is_named(
    models: Any, parent: str, text: str, named: str
) -> None:
    with pytest.raises((exceptions.MethodNotImplemented, exceptions.ServerError), match=named):
        models.list_models(request={"parent": parent, "filter": text}, retry=None)


def refusal_of(field: str, one: Any) -> str | None:
    try:
        filtered(f"{field}:*", {}, type(one))(one)
    except Refused as refused:
        return refused.code
    return None


@pytest.mark.parametrize("kind", LISTED)
def test_every_field_that_the_documentation_filters_by_is_known(kind: str) -> None:
    told = documentation(f"google.cloud.aiplatform.v1.List{kind}Request")["filter"]
    fields = set(re.findall(r"(?:^|\s)- ``(\w+)``", told))
    if prose := re.search(r"Supported fields include: ((?:``\w+``[, and]*)+)", told):
        fields |= set(re.findall(r"``(\w+)``", prose[1]))
    assert fields
    response = getattr(v1, f"List{kind}Response").pb().DESCRIPTOR
    listed = next(field for field in response.fields if field.is_repeated and field.message_type is not None)
    one = getattr(v1, listed.message_type.name).pb()()
    assert {field for field in fields if refusal_of(field, one) not in (None, "UNIMPLEMENTED")} == set()


@pytest.fixture(params=["grpc", "rest"])
def metadata(connect: Connect, parent: str, request: pytest.FixtureRequest) -> tuple[Any, str]:
    client = connect(v1.MetadataServiceClient, request.param)
    made = {"parent": parent, "metadata_store": v1.MetadataStore(), "metadata_store_id": "default"}
    store = str(client.create_metadata_store(request=made).result().name)
    values = {"k": 1.5, "s": "t", "b": True, "field:1": 10, "deep": {"in": "x"}, "many": ["u", "v"], "none": None}
    for kind in ("artifact", "execution", "context"):
        create = getattr(client, f"create_{kind}")
        for identity, held in (("with-values", values), ("without", {})):
            given = getattr(v1, kind.title())(metadata=held)
            create(request={"parent": store, kind: given, f"{kind}_id": identity})
    return client, store


@pytest.mark.parametrize("kind", ["artifact", "execution", "context"])
@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("metadata.k.number_value = 1.5", True),
        ("metadata.k.number_value > 1.5", False),
        ('metadata.k.string_value = "1.5"', False),
        ('metadata.s.stringValue="t"', True),
        ("metadata.b.bool_value = true", True),
        ("metadata.b.bool_value = false", False),
        ('metadata."field:1".number_value = 10.0', True),
        ('metadata.deep.struct_value.in.string_value="x"', True),
        ('metadata.deep.struct_value.out.string_value="x"', False),
        ('metadata.many.list_value.values.string_value="v"', True),
        ("metadata.none.null_value:*", True),
        ("metadata:k", True),
        ("metadata.k:*", True),
        ("metadata:zz", False),
    ],
)
def test_metadata_are_filtered_by_their_fields_and_types(
    metadata: tuple[Any, str], kind: str, text: str, matches: bool
) -> None:
    client, store = metadata
    found = getattr(client, f"list_{kind}s")(request={"parent": store, "filter": text})
    assert [one.name.rpartition("/")[2] for one in found] == (["with-values"] if matches else [])


@pytest.mark.parametrize("text", ["metadata.k=1", "metadata.k.int_value=1", "metadata.k.number_value.x=1"])
def test_metadata_without_a_type_are_not_compared(metadata: tuple[Any, str], text: str) -> None:
    client, store = metadata
    with pytest.raises(exceptions.BadRequest, match="filter"):
        client.list_artifacts(request={"parent": store, "filter": text})


def test_contexts_are_filtered_by_the_one_they_are_in(metadata: tuple[Any, str]) -> None:
    client, store = metadata
    outer, inner = f"{store}/contexts/with-values", f"{store}/contexts/without"
    client.add_context_children(context=outer, child_contexts=[inner])
    for wanted, expected in ((outer, [inner]), (inner, [])):
        found = client.list_contexts(request={"parent": store, "filter": f'parent_contexts:"{wanted}"'})
        assert [one.name for one in found] == expected
    with pytest.raises((exceptions.MethodNotImplemented, exceptions.ServerError), match="child_contexts"):
        client.list_contexts(request={"parent": store, "filter": f'child_contexts:"{inner}"'}, retry=None)
