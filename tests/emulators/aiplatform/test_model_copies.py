"""Models that are exported and copied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.emulators.google.storage.sharing import Objects

from .conftest import Connect

FILES = {"MLmodel": b"flavors", "data/model.bin": b"\x00" * 1000}


@pytest.fixture(params=["grpc", "rest"])
def models(connect: Connect, request: pytest.FixtureRequest) -> Any:
    return connect(v1.ModelServiceClient, request.param)


@pytest.fixture
def bucket(parent: str) -> str:
    return parent.split("/")[1]


@pytest.fixture
def objects(vertex_emulator: Emulator, bucket: str) -> Objects:
    """Cloud Storage, with a model's files under `models/churn` and a neighbour of it."""
    found = vertex_emulator.cloud(GoogleCloud).objects
    found.make_bucket(bucket, project=bucket, location="europe-west4")
    for name, data in FILES.items():
        found.write(bucket, f"models/churn/{name}", data)
    found.write(bucket, "models/churn2/MLmodel", b"another")
    return found


@pytest.fixture
def clock(vertex_emulator: Emulator) -> Iterator[Any]:
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    yield vertex_emulator.clock
    operations.takes = timedelta(0)
    vertex_emulator.clock.resume()


def upload(models: Any, parent: str, bucket: str, **asked: Any) -> str:
    model = v1.Model(
        display_name="Churn",
        artifact_uri=f"gs://{bucket}/models/churn",
        container_spec={"image_uri": "image"},
        labels={"team": "growth"},
        version_aliases=["live"],
        encryption_spec={"kms_key_name": f"projects/{bucket}/locations/europe-west4/keyRings/r/cryptoKeys/k"},
    )
    name: str = models.upload_model(request={"parent": parent, "model": model, **asked}).result().model
    return name


def export(models: Any, name: str, to: str, **config: Any) -> Any:
    config = {"artifact_destination": {"output_uri_prefix": to}, **config}
    return models.export_model(name=name, output_config=config)


def test_a_model_says_how_it_is_exported(models: Any, parent: str, bucket: str) -> None:
    (known,) = models.get_model(name=upload(models, parent, bucket)).supported_export_formats
    assert known.id == "custom-trained"
    assert list(known.exportable_contents) == [v1.Model.ExportFormat.ExportableContent.ARTIFACT]


def test_an_export_is_a_folder_of_its_own_with_all_files(
    models: Any, objects: Objects, parent: str, bucket: str, clock: Any
) -> None:
    clock.freeze(datetime(2100, 1, 2, 3, 4, 5, 678900, tzinfo=UTC))
    begun = export(models, upload(models, parent, bucket), f"gs://{bucket}/exports/", export_format_id="custom-trained")

    assert isinstance(begun.result(), v1.ExportModelResponse)
    assert isinstance(begun.metadata, v1.ExportModelOperationMetadata)
    folder = begun.metadata.output_info.artifact_output_uri
    assert folder == f"gs://{bucket}/exports/model-export-Churn-2100-01-02T03:04:05.678Z"
    prefix = folder.removeprefix(f"gs://{bucket}/") + "/"
    written = {name.removeprefix(prefix): objects.read(bucket, name) for name in objects.list(bucket, "exports/")}
    assert written == FILES


def test_nothing_is_exported_before_the_operation_ends(
    models: Any, objects: Objects, parent: str, bucket: str, clock: Any, vertex_emulator: Emulator
) -> None:
    name = upload(models, parent, bucket)
    clock.freeze()
    vertex_emulator.cloud(GoogleCloud).vertex.operations.takes = timedelta(minutes=1)
    begun = export(models, name, f"gs://{bucket}/exports")
    assert begun.metadata.output_info.artifact_output_uri
    assert objects.list(bucket, "exports") == []
    clock.advance(timedelta(minutes=1))
    begun.result(timeout=20)
    assert len(objects.list(bucket, "exports/")) == 2


def test_what_cannot_be_exported_is_refused(models: Any, objects: Objects, parent: str, bucket: str) -> None:
    name = upload(models, parent, bucket)
    to = f"gs://{bucket}/exports"
    with pytest.raises(exceptions.BadRequest, match="custom-trained"):
        export(models, name, to, export_format_id="tf-saved-model")
    with pytest.raises(exceptions.MethodNotImplemented, match="image_destination"):
        export(models, name, to, image_destination={"output_uri": "europe-docker.pkg.dev/p/r/i"})
    for elsewhere in ("", "exports", "s3://bucket/x"):
        with pytest.raises(exceptions.BadRequest, match="output_uri_prefix"):
            export(models, name, elsewhere)
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        export(models, f"{name}@7", to)
    without = models.upload_model(parent=parent, model=v1.Model(display_name="m")).result().model
    with pytest.raises(exceptions.BadRequest, match="not available for export"):
        export(models, without, to)
    with pytest.raises(exceptions.NotFound, match="nowhere"):
        export(models, name, "gs://nowhere-at-all/exports")
    objects.delete(bucket, "models/churn/MLmodel")
    objects.delete(bucket, "models/churn/data/model.bin")
    with pytest.raises(exceptions.NotFound, match="no files"):
        export(models, name, to)


def test_a_copy_has_all_but_what_belongs_to_its_place(models: Any, parent: str, bucket: str) -> None:
    name = upload(models, parent, bucket, model_id="churn")
    there = parent.replace("europe-west4", "us-central1")
    copied = models.copy_model(parent=there, source_model=name).result()

    assert isinstance(copied, v1.CopyModelResponse)
    assert re.fullmatch(r"projects/\d+/locations/us-central1/models/\d+", copied.model)
    assert copied.model_version_id == "1"
    source, copy = models.get_model(name=name), models.get_model(name=copied.model)
    for field in ("display_name", "artifact_uri", "container_spec", "labels", "supported_export_formats"):
        assert getattr(copy, field) == getattr(source, field)
    assert list(copy.version_aliases) == ["default"]
    assert not copy.encryption_spec.kms_key_name
    assert copy.original_model_info.model == f"{source.name}@1"
    custom = v1.ModelSourceInfo.ModelSourceType.CUSTOM
    assert (source.model_source_info, copy.model_source_info) == (
        v1.ModelSourceInfo(source_type=custom),
        v1.ModelSourceInfo(source_type=custom, copy=True),
    )


def test_a_copy_has_the_place_that_is_asked_for(models: Any, parent: str, bucket: str) -> None:
    name = upload(models, parent, bucket)
    upload(models, parent, bucket, parent_model=name)
    there = parent.replace("europe-west4", "us-central1")
    made = models.copy_model(request={"parent": there, "source_model": f"{name}@2", "model_id": "churn"}).result()
    assert made.model.endswith("/us-central1/models/churn")
    assert models.get_model(name=made.model).original_model_info.model.endswith("@2")
    with pytest.raises(exceptions.Conflict, match="already exists"):
        models.copy_model(request={"parent": there, "source_model": name, "model_id": "churn"})

    again = models.copy_model(request={"parent": there, "source_model": name, "parent_model": made.model}).result()
    assert (again.model, again.model_version_id) == (made.model, "2")
    request = {"parent": there, "source_model": name, "parent_model": f"{there}/models/none"}
    with pytest.raises(exceptions.NotFound, match="none"):
        models.copy_model(request=request)


def test_a_copy_of_what_is_not_there_or_in_another_project_is_refused(models: Any, parent: str, bucket: str) -> None:
    name = upload(models, parent, bucket)
    for source in ("1", f"{parent}/endpoints/1"):
        with pytest.raises(exceptions.BadRequest, match="source_model"):
            models.copy_model(parent=parent, source_model=source)
    with pytest.raises(exceptions.NotFound):
        models.copy_model(parent=parent, source_model=f"{parent}/models/none")
    with pytest.raises(exceptions.MethodNotImplemented, match="between projects"):
        models.copy_model(parent="projects/other/locations/europe-west4", source_model=name)
    with pytest.raises(exceptions.BadRequest, match="model ID"):
        models.copy_model(request={"parent": parent, "source_model": name, "model_id": "Bad ID"})
    with pytest.raises(exceptions.BadRequest, match="parent_model"):
        models.copy_model(request={"parent": parent, "source_model": name, "parent_model": f"{parent}/endpoints/1"})
