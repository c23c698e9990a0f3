"""What was under way when an emulator with a kept state ended is gone on with by the next."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1
from google.rpc import code_pb2

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google import vertex_emulator
from cloudmlops.emulators.google.aiplatform.operations import Operations
from cloudmlops.emulators.google.aiplatform.unfinished import Unfinished
from cloudmlops.emulators.google.cloud import GoogleCloud

PARENT = "projects/restarted/locations/europe-west4"
HOUR = timedelta(hours=1)


@dataclass
class Running:
    emulator: Emulator
    channel: grpc.Channel

    @property
    def operations(self) -> Operations:
        return self.emulator.cloud(GoogleCloud).vertex.operations

    def client(self, kind: Any) -> Any:
        return kind(transport=kind.get_transport_class("grpc")(channel=self.channel))

    @property
    def models(self) -> Any:
        return self.client(v1.ModelServiceClient)

    def upload(self, **fields: Any) -> str:
        """Begin an upload, and return the name of the operation."""
        request = {"parent": PARENT, "model": v1.Model(display_name="m"), **fields}
        return str(self.models.upload_model(request=request).operation.name)

    def operation(self, name: str) -> Any:
        return self.models.get_operation({"name": name})

    def uploaded(self, name: str) -> Any:
        """Return the result of an upload that has ended."""
        operation = self.operation(name)
        assert operation.done
        assert not operation.error.message
        return v1.UploadModelResponse.deserialize(operation.response.value)


@contextmanager
def started(state: Path) -> Iterator[Running]:
    with vertex_emulator(state=state) as emulator, grpc.insecure_channel(emulator.address) as channel:
        yield Running(emulator, channel)


def test_an_operation_that_was_pending_ends_at_its_time(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.operations.takes = HOUR
        name = first.upload()

    with started(tmp_path) as second:
        assert not second.operation(name).done
        assert list(second.models.list_models(parent=PARENT)) == []

        second.emulator.clock.advance(HOUR)

        made = second.uploaded(name)
        assert made.model_version_id == "1"
        assert name.startswith(f"{made.model}/operations/")  # the model that the operation was about from the start
        assert second.models.get_model(name=made.model).display_name == "m"

    with started(tmp_path) as third:
        assert third.uploaded(name) == made
        assert len(list(third.models.list_model_versions(name=made.model))) == 1


def test_an_operation_whose_time_came_while_nothing_ran_has_ended_when_all_is_up_again(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.emulator.clock.freeze(first.emulator.clock.now() - 2 * HOUR)
        first.operations.takes = HOUR
        name = first.upload()

    with started(tmp_path) as second:
        assert second.uploaded(name).model_version_id == "1"


def test_an_operation_that_was_stuck_is_carried_out(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.operations.stuck = True
        name = first.upload()

    with started(tmp_path) as second:
        assert second.uploaded(name).model_version_id == "1"


def test_one_that_was_cancelled_or_forgotten_is_not_gone_on_with(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.operations.takes = HOUR
        cancelled, forgotten = first.upload(), first.upload()
        first.models.cancel_operation({"name": cancelled})
        first.models.delete_operation({"name": forgotten})

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)

        assert second.operation(cancelled).error.code == code_pb2.CANCELLED
        assert list(second.models.list_models(parent=PARENT)) == []


def test_of_two_that_want_one_name_the_first_has_it_after_a_restart_too(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.operations.takes = HOUR
        names = [first.upload(model_id="wanted") for _ in range(2)]

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)

        assert second.uploaded(names[0]).model == f"{names[0].partition('/operations/')[0]}"
        assert second.operation(names[1]).error.code == code_pb2.ALREADY_EXISTS


def test_what_cannot_be_done_any_more_fails_as_the_service_would_fail_it(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        parent = first.models.upload_model(parent=PARENT, model=v1.Model(display_name="m")).result().model
        first.operations.takes = HOUR
        deleting = first.models.delete_model(name=parent).operation.name
        adding = first.upload(parent_model=parent)

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)

        assert second.operation(deleting).done
        assert not second.operation(deleting).error.message
        assert second.operation(adding).error.code == code_pb2.NOT_FOUND


def test_an_operation_of_the_other_version_keeps_its_types(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.operations.takes = HOUR
        made = first.client(v1beta1.EndpointServiceClient).create_endpoint(
            parent=PARENT, endpoint=v1beta1.Endpoint(display_name="e")
        )
        name = made.operation.name

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)

        operation = second.operation(name)
        assert operation.response.type_url.endswith("google.cloud.aiplatform.v1beta1.Endpoint")
        endpoint = v1beta1.Endpoint.deserialize(operation.response.value)
        assert name.startswith(f"{endpoint.name}/operations/")


def test_an_effect_that_was_being_carried_out_is_not_had_twice(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        first.operations.takes = HOUR
        name = first.upload()
        Unfinished(first.emulator.state).working(name)  # as it is while the effect is carried out

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)

        assert second.operation(name).error.code == code_pb2.ABORTED
        assert "The emulator was stopped" in second.operation(name).error.message
        assert list(second.models.list_models(parent=PARENT)) == []


@pytest.mark.parametrize("ending", ["well", "badly"])
def test_the_audit_log_tells_the_end_that_came_after_the_restart(tmp_path: Path, ending: str) -> None:
    with started(tmp_path) as first:
        first.operations.takes = HOUR
        name = first.upload(model_id="m")
        if ending == "badly":
            first.upload(model_id="m")

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)
        told = second.emulator.cloud(GoogleCloud).logs.list(
            ["projects/restarted"], 'protoPayload.methodName:"UploadModel"'
        )
        ends = [entry for entry in told if entry["operation"].get("last")]

    assert [entry["operation"]["id"] for entry in ends][:1] == [name]
    assert len(ends) == (2 if ending == "badly" else 1)


KILLED = """
import sys, time
from datetime import timedelta
from pathlib import Path
from tests.emulators.aiplatform.test_restarts import HOUR, started
with started(Path(sys.argv[1])) as running:
    running.operations.takes = HOUR
    print(running.upload(), flush=True)
    time.sleep(600)
"""


def test_a_killed_emulator_leaves_what_the_next_goes_on_with(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert killed.stdout is not None
    with killed.stdout:
        name = killed.stdout.readline().decode().strip()
        killed.kill()
        killed.wait(30)

    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)

        assert second.uploaded(name).model_version_id == "1"


def test_an_export_that_was_pending_is_in_the_folder_that_its_operation_names(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        objects = first.emulator.cloud(GoogleCloud).objects
        objects.make_bucket("restarted", project="restarted")
        objects.write("restarted", "m/MLmodel", b"flavors")
        model = v1.Model(display_name="m", artifact_uri="gs://restarted/m")
        name = first.models.upload_model(parent=PARENT, model=model).result().model
        first.operations.takes = HOUR
        to = {"artifact_destination": {"output_uri_prefix": "gs://restarted/exports"}}
        begun = first.models.export_model(name=name, output_config=to).operation.name
    with started(tmp_path) as second:
        second.emulator.clock.advance(HOUR)
        operation = second.operation(begun)
        assert operation.done
        told = v1.ExportModelOperationMetadata.deserialize(operation.metadata.value)
        folder = told.output_info.artifact_output_uri.removeprefix("gs://restarted/")
        assert second.emulator.cloud(GoogleCloud).objects.list("restarted", "exports/") == [f"{folder}/MLmodel"]
