"""Which compute runs run on, which one is made, and who pays for machines that wait."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError

import cloudmlops as cm
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import ConfigurationError, InvalidPipelineError, NotFoundError
from cloudmlops.providers.azureml.mapping.computes import agreement, idle_cost, idle_fault, kept_by
from cloudmlops.providers.azureml.mapping.machines import MACHINES, known, lacks
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.providers.azureml.settings import AzureMLSettings

from .conftest import Connects, Opened
from .steps.pipelines import machines, single

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
JOB = "arm/PUT workspaces/jobs"
COMPUTE = "arm/PUT workspaces/computes"
TARGET = "azureml://12345678-0000-0000-0000-000000000000/group/workspace"


UNPRICED = "Standard_ND96isr_H200_v5"


def _make(platform: cm.Platform, **fields: object) -> None:
    wanted = {"name": "cpu", "size": "Standard_DS3_v2", "min_instances": 0, "max_instances": 2, **fields}
    platform.native.compute.begin_create_or_update(ml().entities.AmlCompute(**wanted)).result()


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "cloudmlops.azureml"]


def _make_instance(platform: cm.Platform, name: str, **fields: object) -> None:
    wanted = ml().entities.ComputeInstance(name=name, size="Standard_NC24ads_A100_v4", **fields)
    platform.native.compute.begin_create_or_update(wanted).result()


def test_runs_run_on_the_compute_of_the_target(connect_to_run: Connects, cloud: AzureCloud, workspace: str) -> None:
    platform = connect_to_run(compute="cpu")
    _make(platform)

    run = platform.pipelines.run(single, wait=True)

    assert platform.native.jobs.get(run.id).properties["azureml.defaultComputeName"] == "cpu"
    (bill,) = [one for one in cloud.billing.bills() if f"/{workspace}/" in one.compute]
    assert bill.minimum == 0
    assert bill.busy_node_seconds > 0


def test_a_compute_that_is_not_there_is_made_with_no_node_that_waits(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform = connect_to_run(compute="cpu", compute_machine="Standard_DS3_v2", compute_max_nodes="3")

    platform.pipelines.run(single, wait=True)
    platform.pipelines.run(single, {"value": 2}, wait=True)

    made = platform.native.compute.get("cpu")
    assert (made.size, made.min_instances, made.max_instances) == ("STANDARD_DS3_V2", 0, 3)
    assert len(azureml_emulator.calls.list(COMPUTE)) == 1


def test_an_unknown_compute_is_told_with_what_to_do(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    with pytest.raises(NotFoundError, match="has no compute 'gpu'") as refusal:
        connect_to_run(compute="gpu").pipelines.run(single)

    assert "compute_machine=Standard_DS3_v2" in refusal.value.hint
    assert not azureml_emulator.calls.list(JOB)


def test_machines_that_wait_are_refused_with_what_they_cost_a_month(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    settings = {"compute": "cpu", "compute_machine": "Standard_DS3_v2", "compute_min_nodes": "2"}

    with pytest.raises(ConfigurationError, match="about 428 US dollars a month") as refusal:
        connect_to_run(**settings).pipelines.run(single)

    assert "compute_idle_cost=428" in refusal.value.hint
    assert not azureml_emulator.calls.list(COMPUTE)
    with pytest.raises(ConfigurationError, match="keeps 2 Standard_DS3_v2 at least though nothing runs"):
        connect_to_run(**settings, compute_idle_cost="400").pipelines.run(single)


@pytest.mark.conformance
def test_who_agrees_to_the_cost_gets_machines_that_wait_and_is_reminded(
    connect_to_run: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"compute": "cpu", "compute_machine": "Standard_DS3_v2", "compute_min_nodes": "1"}
    platform = connect_to_run(**settings, compute_idle_cost="214")

    with caplog.at_level(logging.WARNING, logger="cloudmlops.azureml"):
        platform.pipelines.run(single, wait=True)

    assert platform.native.compute.get("cpu").min_instances == 1
    assert "about 214 US dollars a month, as agreed" in caplog.text


def test_a_cluster_of_somebody_else_whose_machines_wait_is_refused_too(connect_to_run: Connects) -> None:
    platform = connect_to_run(compute="cpu")
    _make(platform, min_instances=1)

    with pytest.raises(ConfigurationError, match=r"compute 'cpu' keeps 1 STANDARD_DS3_V2 .*about 214 US dollars"):
        platform.pipelines.run(single)
    with pytest.raises(ResourceNotFoundError):
        platform.native.jobs.get("anything")


def test_a_cluster_that_is_resized_later_is_refused_from_then_on(connect_to_run: Connects) -> None:
    platform = connect_to_run(compute="cpu")
    _make(platform)
    platform.pipelines.run(single, id="before")
    _make(platform, min_instances=1)

    with pytest.raises(ConfigurationError, match="keeps 1 STANDARD_DS3_V2"):
        platform.pipelines.run(single, id="after")

    _make(platform)
    assert platform.pipelines.run(single, id="after").id == "after"


PARTS = {
    "settings": "settings: {default_compute: 'azureml:odd'}\n%s",
    "job": "compute: odd\n%s",
    "step": "%s    compute: azureml:odd\n",
    "input": "inputs: {where: odd}\n%s    compute: ${{parent.inputs.where}}\n",
    "nested": "%s  inner:\n    type: pipeline\n    component: ./inner.yml\n",
    "sweep": "%s  tune: {compute: odd, type: sweep, sampling_algorithm: grid, "
    "search_space: {x: {type: choice, values: [1]}}, "
    "objective: {goal: maximize, primary_metric: m}, limits: {max_total_trials: 1}, trial: {type: command, "
    "command: 'echo ${{inputs.x}}', environment: {image: 'mine:1'}, inputs: {x: {type: number}}}}\n",
    "elsewhere": "%s    compute: azureml:/subscriptions/s/resourceGroups/g/providers/P/workspaces/w/computes/odd\n",
}
PART = "jobs:\n  first:\n    type: command\n    command: echo hi\n    environment: {image: 'mine:1'}\n"
INNER = f"type: pipeline\nname: inner\nversion: '1'\n{PART}    compute: azureml:odd\n"


@pytest.mark.parametrize("part", PARTS)
def test_what_a_given_job_names_costs_no_more_than_was_agreed_to(
    connect_to_run: Connects, azureml_emulator: Emulator, tmp_path: Path, part: str
) -> None:
    platform = connect_to_run()
    _make(platform, name="odd", min_instances=4, max_instances=4)
    (tmp_path / "inner.yml").write_text(INNER, encoding="utf-8")
    azureml_emulator.calls.clear()
    given = tmp_path / "p.yml"
    given.write_text(f"type: pipeline\nexperiment_name: odd\n{PARTS[part] % PART}", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"odd' (keeps 4 STANDARD_DS3_V2|is of type compute of another)"):
        platform.pipelines.run(cm.AzureMLSpec(given))
    with pytest.raises(ConfigurationError, match=r"whose machines may be on|at least though nothing runs") as refusal:
        platform.pipelines.schedule(cm.AzureMLSpec(given), name="nightly", cron="0 3 * * *")

    assert "to the target" in refusal.value.hint
    assert not azureml_emulator.calls.list("arm/PUT *")


def test_a_given_job_on_a_compute_that_costs_nothing_while_idle_runs_and_none_is_made_for_it(
    connect_to_run: Connects, tmp_path: Path
) -> None:
    platform = connect_to_run()
    given = tmp_path / "p.yml"
    given.write_text(f"type: pipeline\nexperiment_name: odd\ncompute: cpu\n{PART}", encoding="utf-8")
    with pytest.raises(NotFoundError, match="has no compute 'cpu'"):
        platform.pipelines.run(cm.AzureMLSpec(given))
    _make(platform)

    run = platform.pipelines.run(cm.AzureMLSpec(given), wait=True)

    assert run.logs("first") == "hi\n"


def test_no_sum_agrees_to_machines_of_which_no_price_is_known(
    connect_to_run: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    _make(connect_to_run(), size=UNPRICED, min_instances=4, max_instances=4)

    with pytest.raises(ConfigurationError, match="price that this library does not know") as refusal:
        connect_to_run(compute="cpu", compute_idle_cost="99999").pipelines.run(single)

    said = f"{refusal.value} {refusal.value.hint}"
    assert f"unpriced_machines={UNPRICED.upper()}" in said
    assert "99999" not in said
    assert "compute_idle_cost" not in said
    with pytest.raises(ConfigurationError, match="price that this library does not know"):
        connect_to_run(compute="cpu", unpriced_machines="Standard_Z9").pipelines.run(single)
    assert not _said(caplog)


def test_who_names_machines_without_a_known_price_may_keep_them(
    opened: Opened, caplog: pytest.LogCaptureFixture, cloud: AzureCloud, workspace: str
) -> None:
    backends = opened(
        compute="dear",
        compute_machine=UNPRICED,
        compute_min_nodes="1",
        compute_idle_cost="10",
        unpriced_machines=f"Standard_Z9,{UNPRICED.lower()}",
    )

    with caplog.at_level(logging.WARNING, logger="cloudmlops.azureml"):
        found = backends.computes.ready("pipelines.run")

    assert found.machine == UNPRICED.upper()
    (said,) = _said(caplog)
    assert said.endswith("at a price that this library does not know, as agreed"), "the agreed sum is no price"
    assert cloud.billing.of(f"{backends.settings.workspace_id}/computes/dear").minimum == 1


def test_an_instance_costs_all_the_time_unless_it_shuts_itself_down(
    connect_to_run: Connects, opened: Opened, cloud: AzureCloud, caplog: pytest.LogCaptureFixture
) -> None:
    platform = connect_to_run()
    _make_instance(platform, "always-on")
    _make_instance(platform, "sleepy", idle_time_before_shutdown_minutes=30)

    with pytest.raises(
        ConfigurationError, match=r"'always-on' is an instance, .*: about 2681 US dollars a month"
    ) as no:
        connect_to_run(compute="always-on").pipelines.run(single)

    assert "compute_idle_cost=2682" in no.value.hint
    bills = {bill.compute.rpartition("/")[2]: bill for bill in cloud.billing.bills()}
    assert bills["always-on"].least_monthly_cost == pytest.approx(2681.29)
    assert bills["sleepy"].least_monthly_cost == 0
    assert opened(compute="sleepy").computes.ready("pipelines.run").name == "sleepy"
    assert not _said(caplog)
    assert opened(compute="always-on", compute_idle_cost="2682").computes.ready("pipelines.run").name == "always-on"
    assert "about 2681 US dollars a month, as agreed" in caplog.text


def test_attached_machines_are_taken_by_name_only() -> None:
    machine = ml().entities.VirtualMachineCompute(name="attached", resource_id="/subscriptions/none")

    kept = kept_by(machine)

    fault = idle_fault(kept, AzureMLSettings.from_target(f"{TARGET}?compute_idle_cost=10000"))
    assert "'attached' is of type virtualmachine, whose machines may be on though nothing runs" in fault
    assert "unpriced_machines=attached" in agreement(kept)
    assert idle_fault(kept, AzureMLSettings.from_target(f"{TARGET}?unpriced_machines=attached")) == ""


def test_a_step_that_asks_for_more_than_the_compute_has_is_refused(connect_to_run: Connects) -> None:
    platform = connect_to_run(compute="cpu")
    _make(platform)

    with pytest.raises(InvalidPipelineError) as refusal:
        platform.pipelines.run(machines)

    assert refusal.value.faults == (
        "step 'small': it asks for 16 GiB, and Standard_DS3_v2 has 14",
        "step 'cheap': it asks for nvidia-t4:1, and Standard_DS3_v2 has none",
        (
            "step 'cheap' asks for a machine that may be taken away, and compute 'cpu' has none: make it with tier "
            "low_priority, or name no compute, for serverless compute"
        ),
    )


def test_each_machine_has_what_it_has() -> None:
    for machine in MACHINES:
        own = cm.Resources(
            cpu=machine.cpu,
            memory_gib=machine.memory_gib,
            accelerator=f"{machine.accelerator}:{machine.count}" if machine.accelerator else None,
        )
        assert lacks(machine, own) == ""
        assert known(machine.name.upper()) == machine


def test_machines_that_may_be_taken_away_cost_less_and_unknown_ones_nobody_knows() -> None:
    assert idle_cost("Standard_DS3_v2", 2) == pytest.approx(427.78)
    assert idle_cost("Standard_DS3_v2", 2, low_priority=True) == pytest.approx(85.556)
    assert idle_cost("Standard_Z9", 1) is None
