"""What is checked of every request, whatever its method is."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from .conftest import Connect


def test_a_parent_of_another_form_is_refused(connect: Connect) -> None:
    models = connect(v1.ModelServiceClient)  # over REST the SDK itself refuses to write such an address
    for parent in ("projects/x", "nonsense", "projects/x/locations/europe-west4/models/1"):
        with pytest.raises(exceptions.BadRequest, match=r"parent: it must be projects/\*/locations/\*"):
            models.upload_model(parent=parent, model=v1.Model(display_name="m"))
        with pytest.raises(exceptions.BadRequest, match="parent"):
            models.list_models(parent=parent)


def test_a_name_of_another_form_is_refused(connect: Connect, parent: str) -> None:
    models = connect(v1.ModelServiceClient)
    for name in (f"{parent}/endpoints/1", f"{parent}/models/1/2", "1"):
        with pytest.raises(exceptions.BadRequest, match="in name: it must be"):
            models.get_model(name=name)
    with pytest.raises(exceptions.BadRequest, match=r"in model\.name: it must be"):
        models.update_model(model=v1.Model(name="1", display_name="n"), update_mask={"paths": ["display_name"]})


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_display_name_has_up_to_128_characters(connect: Connect, parent: str, transport: str) -> None:
    models = connect(v1.ModelServiceClient, transport)
    name = models.upload_model(parent=parent, model=v1.Model(display_name="é" * 128)).result().model
    with pytest.raises(exceptions.BadRequest, match=r"model\.display_name has 129 characters"):
        models.upload_model(parent=parent, model=v1.Model(display_name="é" * 129))
    longer = v1.Model(name=name, display_name="x" * 300)
    with pytest.raises(exceptions.BadRequest, match="300 characters"):
        models.update_model(model=longer, update_mask={"paths": ["display_name"]})


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_what_is_required_within_a_list_is_named_with_its_place(connect: Connect, parent: str, transport: str) -> None:
    registry = connect(v1.FeatureRegistryServiceClient, transport)
    group = f"{parent}/featureGroups/g"
    requests = [
        v1.CreateFeatureRequest(parent=group, feature=v1.Feature(), feature_id="f"),
        v1.CreateFeatureRequest(parent=group, feature=v1.Feature()),
    ]
    with pytest.raises(exceptions.BadRequest, match=r"requests\[1\]\.feature_id"):
        registry.batch_create_features(parent=group, requests=requests)
