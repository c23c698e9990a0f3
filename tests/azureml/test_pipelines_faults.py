"""Pipelines when the service is away, busy or refuses, when answers are lost and tokens end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from cloudmlops import connect
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    PermissionDeniedError,
    QuotaExceededError,
    RunFailedError,
    UnavailableError,
    WaitTimeoutError,
)

from .conftest import Connects, Opened
from .steps.pipelines import falling, single

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
PUT = "arm/PUT workspaces/jobs"
GET = "arm/GET workspaces/jobs"


@pytest.mark.conformance(ci=True)
def test_a_lost_answer_makes_no_second_job(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    azureml_emulator.faults.set(Fault(matching=PUT, lose_response=True))
    platform = connect_to_run()

    run = platform.pipelines.run(single, wait=True)

    assert [one.id for one in platform.pipelines.list()] == [run.id]
    assert len(azureml_emulator.calls.list(PUT)) == 2


@pytest.mark.conformance(ci=True)
def test_a_service_that_is_busy_is_asked_again(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.01)
    azureml_emulator.faults.set(Fault(matching=PUT, times=2, refused=busy))
    azureml_emulator.faults.set(Fault(matching="history/runs.children", times=1, refused=busy))

    assert connect_to_run().pipelines.run(single, wait=True).outputs == {"output": 1}
    assert len(azureml_emulator.calls.list(PUT)) == 3


@pytest.mark.conformance
def test_a_service_that_stays_busy_is_told_with_the_time_to_come_again(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.25)
    azureml_emulator.faults.set(Fault(matching=PUT, times=None, refused=busy))

    with pytest.raises(QuotaExceededError, match=r"pipelines\.run of 'monday'") as caught:
        connect_to_run().pipelines.run(single, id="monday")

    assert caught.value.retry_after == timedelta(seconds=0.25)


@pytest.mark.conformance(ci=True)
def test_an_id_whose_job_was_never_made_is_started_by_the_next_call(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform, impatient = connect_to_run(), connect_to_run(timeout="2")
    azureml_emulator.faults.set(Fault(matching=PUT, refused=Refused("UNAVAILABLE", "try again later"), times=None))
    with pytest.raises(UnavailableError):
        impatient.pipelines.run(single, id="monday")
    azureml_emulator.faults.clear()

    assert platform.pipelines.run(single, id="monday").wait().outputs == {"output": 1}


@pytest.mark.conformance(ci=True)
def test_a_resume_whose_job_was_never_made_is_done_by_the_next_call(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform, impatient = connect_to_run(), connect_to_run(timeout="2")
    with pytest.raises(RunFailedError) as failure:
        platform.pipelines.run(falling, wait=True)
    run = impatient.pipelines.get(failure.value.run.id)
    azureml_emulator.faults.set(Fault(matching=PUT, refused=Refused("UNAVAILABLE", "try again later"), times=None))
    with pytest.raises(UnavailableError):
        run.resume()
    azureml_emulator.faults.clear()

    assert platform.pipelines.get(run.id).record.attempt == 1
    with pytest.raises(RunFailedError, match="left no word"):
        platform.pipelines.get(run.id).resume(wait=True)
    found = platform.pipelines.get(run.id)
    assert (found.record.attempt, found.steps["fall"].attempt) == (2, 2)


@pytest.mark.parametrize(
    "call", [PUT, *(pytest.param(one, marks=pytest.mark.conformance) for one in (GET, "history/runs.children"))]
)
def test_a_token_that_became_too_old_is_renewed(
    connect_to_run: Connects, azureml_emulator: Emulator, call: str
) -> None:
    too_old = Refused("UNAUTHENTICATED", "The access token has expired.", reason="ExpiredAuthenticationToken")
    platform = connect_to_run()
    azureml_emulator.faults.set(Fault(matching=call, refused=too_old))

    assert platform.pipelines.run(single, wait=True).outputs == {"output": 1}
    assert "UNAUTHENTICATED" in [one.status for one in azureml_emulator.calls.list(call)]


@pytest.mark.conformance(ci=True)
def test_a_job_that_never_begins_is_waited_for_so_long_and_can_be_cancelled(
    connect_to_run: Connects, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    azureml_emulator.clock.freeze(azureml_emulator.clock.now())
    cloud.pace.queued = timedelta(days=1)
    run = connect_to_run().pipelines.run(single)

    with pytest.raises(WaitTimeoutError, match="It goes on"):
        run.wait(timedelta(milliseconds=100))
    assert run.steps["one"].state is StepState.WAITING
    run.cancel()

    with pytest.raises(RunFailedError, match="was cancelled"):
        run.wait(timedelta(seconds=60))
    assert run.steps["one"].state is StepState.CANCELLED


@pytest.mark.conformance(ci=True)
def test_a_job_that_the_service_fails_is_failed(connect_to_run: Connects, cloud: AzureCloud) -> None:
    image = "contoso.azurecr.io/steps:none"
    cloud.images.lack(image)

    with pytest.raises(RunFailedError) as failure:
        connect_to_run(environment="").pipelines.run(_on(image), wait=True)

    assert failure.value.run.status is RunState.FAILED
    assert "step 'one'" in str(failure.value)
    assert image in str(failure.value)
    assert "cloudmlops image steps FOLDER" in str(failure.value)


def test_who_may_not_submit_is_told_which_action_and_role_is_missing(
    opened: Opened, as_somebody: Callable[[str], None]
) -> None:
    target = opened(environment="azureml:steps:1").settings.target
    as_somebody("approver")

    with connect(target) as platform, pytest.raises(PermissionDeniedError) as refusal:
        platform.pipelines.run(single, id=f"run-{uuid4().hex}")

    told = f"{refusal.value} {refusal.value.hint}"
    assert "Microsoft.MachineLearningServices/workspaces/" in told
    assert "AzureML Data Scientist" in told
    assert "check_access(['pipelines.run'])" in told


def _on(image: str) -> object:
    import cloudmlops as cm

    from .steps.pipelines import one

    @cm.pipeline(name="single")
    def built() -> int:
        return one.with_options(image=image)()

    return built
