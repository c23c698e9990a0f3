from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.tracking.measures import Measures
from cloudmlops.emulators.core.faults import Fault, Refused

if TYPE_CHECKING:
    from tests.emulators.azure.tracking.conftest import Tracking

ROLES = ("owner", "scientist", "reader", "nobody")


def metric(value: float, *, step: int = 0, key: str = "loss", timestamp: int = 5) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}


def test_a_run_without_an_experiment_is_in_the_one_named_default(tracking: Tracking) -> None:
    run = tracking.run()

    experiment = tracking.told("GET", "experiments/get-by-name", experiment_name="Default")["experiment"]
    assert tracking.told("GET", "runs/get", run_id=run)["run"]["info"]["experiment_id"] == experiment["experiment_id"]
    assert tracking.told("GET", "experiments/get", experiment_id="0")["experiment"] == experiment


def test_an_experiment_has_one_name_for_ever(tracking: Tracking) -> None:
    made = tracking.told("POST", "experiments/create", name="flights", tags=[{"key": "team", "value": "delays"}])

    assert tracking.refused("POST", "experiments/create", name="flights") == (400, "RESOURCE_ALREADY_EXISTS")
    assert tracking.refused("GET", "experiments/get-by-name", experiment_name="x") == (404, "RESOURCE_DOES_NOT_EXIST")
    assert tracking.refused("GET", "experiments/get", experiment_id="x") == (404, "RESOURCE_DOES_NOT_EXIST")
    shown = tracking.told("GET", "experiments/get", **made)["experiment"]
    assert (shown["name"], shown["tags"]) == ("flights", [{"key": "team", "value": "delays"}])


def test_a_deleted_experiment_is_found_where_deleted_ones_are_until_it_is_restored(tracking: Tracking) -> None:
    made = tracking.told("POST", "experiments/create", name="old")
    tracking.told("POST", "experiments/create", name="new")

    def names(view: str) -> list[str]:
        return [one["name"] for one in tracking.told("POST", "experiments/search", view_type=view)["experiments"]]

    tracking.told("POST", "experiments/delete", **made)
    assert (names("ACTIVE_ONLY"), names("DELETED_ONLY")) == (["new"], ["old"])
    assert tracking.refused("POST", "runs/create", **made) == (400, "INVALID_PARAMETER_VALUE")
    tracking.told("POST", "experiments/restore", **made)
    assert sorted(names("ACTIVE_ONLY")) == ["new", "old"]


def test_a_parameter_keeps_its_value_and_a_batch_is_logged_whole_or_not_at_all(tracking: Tracking) -> None:
    run = tracking.run()
    tracking.told("POST", "runs/log-parameter", run_id=run, key="rate", value="0.1")
    tracking.told("POST", "runs/log-parameter", run_id=run, key="rate", value="0.1")

    refused = tracking.refused(
        "POST",
        "runs/log-batch",
        run_id=run,
        metrics=[metric(1.0)],
        params=[{"key": "depth", "value": "3"}, {"key": "rate", "value": "0.2"}],
        tags=[{"key": "a", "value": "b"}],
    )

    assert refused == (400, "INVALID_PARAMETER_VALUE")
    data = tracking.told("GET", "runs/get", run_id=run)["run"]["data"]
    assert (data["metrics"], data["params"]) == ([], [{"key": "rate", "value": "0.1"}])
    assert "a" not in {tag["key"] for tag in data["tags"]}


@pytest.mark.conformance(ci=True)
def test_a_batch_that_is_too_large_is_refused(tracking: Tracking) -> None:
    run = tracking.run()

    many = [metric(1.0, step=step) for step in range(1001)]
    assert tracking.refused("POST", "runs/log-batch", run_id=run, metrics=many) == (400, "INVALID_PARAMETER_VALUE")
    tracking.told("POST", "runs/log-batch", run_id=run, metrics=many[:1000])
    history = tracking.told("GET", "metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [one["step"] for one in history] == list(range(1000))


@pytest.mark.conformance(ci=True)
def test_the_last_value_of_a_metric_is_that_of_the_greatest_step(tracking: Tracking) -> None:
    run = tracking.run()
    for value, step in ((3.0, 2), (1.0, -1), (2.0, 0)):
        tracking.told("POST", "runs/log-metric", run_id=run, **metric(value, step=step))
    tracking.told("POST", "runs/log-metric", run_id=run, **metric(3.0, step=2))

    measures: Measures = tracking.azure.cloud.tracking.measures
    assert {key: one.value for key, one in measures.last(tracking.azure.workspace_id, run).items()} == {"loss": 3.0}
    history = measures.history(tracking.azure.workspace_id, run, "loss")
    assert [(one.step, one.value) for one in history] == [(-1, 1.0), (0, 2.0), (2, 3.0)], "sent again it is kept once"


def test_history_and_searches_come_page_by_page(tracking: Tracking) -> None:
    experiment = tracking.told("POST", "experiments/create", name="flights")["experiment_id"]
    runs = [tracking.run(experiment, run_name=f"r{number}", start_time=number + 1) for number in range(5)]
    for step in range(5):
        tracking.told("POST", "runs/log-metric", run_id=runs[0], **metric(1.0, step=step))

    token, names = "", []
    while True:
        page = tracking.told(
            "POST",
            "runs/search",
            experiment_ids=[experiment],
            max_results=2,
            **({"page_token": token} if token else {}),
        )
        names += [one["info"]["run_name"] for one in page["runs"]]
        if not (token := page.get("next_page_token", "")):
            break
    assert names == ["r4", "r3", "r2", "r1", "r0"], "the latest first"
    first = tracking.told("GET", "metrics/get-history", run_id=runs[0], metric_key="loss", max_results=3)
    rest = tracking.told(
        "GET", "metrics/get-history", run_id=runs[0], metric_key="loss", page_token=first["next_page_token"]
    )
    assert [one["step"] for one in (*first["metrics"], *rest["metrics"])] == [0, 1, 2, 3, 4]


def test_runs_are_found_by_what_they_logged(tracking: Tracking) -> None:
    experiment = tracking.told("POST", "experiments/create", name="flights")["experiment_id"]
    for name, auc, kind in (("a", 0.9, "tree"), ("b", 0.8, "tree"), ("c", 0.7, "it's")):
        run = tracking.run(experiment, run_name=name, tags=[{"key": "kind", "value": kind}], start_time=1)
        tracking.told("POST", "runs/log-batch", run_id=run, metrics=[metric(auc, key="auc")])
        tracking.told("POST", "runs/log-parameter", run_id=run, key="num.trees", value=name * 2)
        tracking.told("POST", "runs/update", run_id=run, status="FAILED" if name == "c" else "FINISHED", end_time=100)

    def found(text: str) -> list[str]:
        return sorted(tracking.found(experiment, text))

    assert found("metrics.auc >= 0.8") == ["a", "b"]
    assert found("metrics.auc > 0.75 and params.num.trees = 'bb'") == ["b"]
    assert found("tags.kind = 'tree' AND metrics.auc < 0.85") == ["b"]
    assert found("tags.kind = 'it''s'") == ["c"]
    assert found("params.`num.trees` LIKE 'a%'") == ["a"]
    assert found("attributes.status = 'Failed'") == ["c"]
    assert found("attributes.run_name IN ('a', 'c')") == ["a", "c"]
    assert found("attributes.duration > '98'") == ["a", "b", "c"]
    assert tracking.found(experiment, order_by=["attributes.run_name ASC"]) == ["a", "b", "c"]
    for wrong in ("metrics.auc ~ 1", "metrics.auc > 1 or metrics.auc < 2", "tags.kind != 'tree'", "metrics.auc > 'x'"):
        refused = tracking.refused("POST", "runs/search", experiment_ids=[experiment], filter=wrong)
        assert refused == (400, "INVALID_PARAMETER_VALUE"), wrong
    by_metric = tracking.refused("POST", "runs/search", experiment_ids=[experiment], order_by=["metrics.auc DESC"])
    assert by_metric == (400, "INVALID_PARAMETER_VALUE"), "the service orders by attributes only"


def test_a_deleted_run_is_an_archived_one(tracking: Tracking) -> None:
    experiment = tracking.told("POST", "experiments/create", name="flights")["experiment_id"]
    run = tracking.run(experiment, run_name="first")

    tracking.told("POST", "runs/delete", run_id=run)

    assert tracking.found(experiment) == []
    assert tracking.found(experiment, run_view_type="DELETED_ONLY") == ["first"]
    tracking.told("POST", "runs/restore", run_id=run)
    assert tracking.found(experiment) == ["first"]


def test_a_nested_run_names_its_parent_and_its_root(tracking: Tracking) -> None:
    outer = tracking.run(run_name="outer")
    inner = tracking.run(run_name="inner", tags=[{"key": "mlflow.parentRunId", "value": outer}])
    innermost = tracking.run(run_name="innermost", tags=[{"key": "mlflow.parentRunId", "value": inner}])

    data = tracking.told("GET", "runs/get", run_id=innermost)["run"]["data"]
    tags = {tag["key"]: tag["value"] for tag in data["tags"]}
    assert (tags["mlflow.parentRunId"], tags["mlflow.rootRunId"]) == (inner, outer)


def test_both_versions_of_the_api_are_taken_and_noted(tracking: Tracking) -> None:
    for version in ("v1.0", "v2.0"):
        made = tracking.told("POST", "runs/create", of=version)["run"]["info"]
        scope = f"azureml://westeurope.api.azureml.ms/mlflow/{version}{tracking.azure.workspace_id}"
        address = f"{scope}/experiments/{made['experiment_id']}/runs/{made['run_id']}/artifacts"
        assert made["artifact_uri"] == address

    assert tracking.azure.cloud.versions["mlflow POST runs/create"] == {"v1.0", "v2.0"}
    assert tracking.azure.emulator.calls.list("mlflow/POST runs/create")


def test_what_the_service_does_not_have_is_404_and_what_is_not_emulated_501(tracking: Tracking) -> None:
    reply = tracking.call("POST", "logged-models", experiment_id="0")

    assert (reply.status_code, reply.content) == (404, b""), "azure-sdk-for-python, issue 44896"
    assert tracking.refused("POST", "runs/log-inputs", run_id="x") == (501, "NOT_IMPLEMENTED")
    assert "runs/log-inputs" in tracking.call("POST", "runs/log-inputs").json()["message"]


@pytest.mark.parametrize("who", ROLES)
def test_who_may_read_and_write_runs_is_decided_by_roles(tracking: Tracking, who: str) -> None:
    run = tracking.run()

    read = tracking.call("GET", "runs/get", who=who, run_id=run).status_code
    write = tracking.call("POST", "runs/set-tag", who=who, run_id=run, key="a", value="b").status_code
    make = tracking.call("POST", "experiments/create", who=who, name=f"of-{who}").status_code

    expected = {"reader": (200, 403, 403), "nobody": (403, 403, 403)}
    assert (read, write, make) == expected.get(who, (200, 200, 200))


def test_a_call_without_a_token_is_401(tracking: Tracking) -> None:
    url = f"{tracking.azure.emulator.url}/mlflow/v2.0{tracking.azure.workspace_id}/api/2.0/mlflow/runs/get?run_id=x"
    reply = httpx.get(url, trust_env=False, verify=False)

    assert (reply.status_code, reply.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_runs_of_clients_go_on_after_the_emulator_was_started_again(restarted: Callable[[], Any]) -> None:
    def asked(emulator: Any, method: str, operation: str, **sent: Any) -> dict[str, Any]:
        cloud = emulator.cloud(AzureCloud)
        workspace = cloud.ensure_workspace("kept", group="experiments")
        token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
        reply = httpx.request(
            method,
            f"{emulator.url}/mlflow/v2.0{workspace}/api/2.0/mlflow/{operation}",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            **({"params": sent} if method == "GET" else {"json": sent}),
        )
        told: dict[str, Any] = reply.json()
        return told

    with restarted() as emulator:
        run = asked(emulator, "POST", "runs/create")["run"]["info"]["run_id"]
        asked(emulator, "POST", "runs/log-metric", run_id=run, **metric(1.0))

    with restarted() as emulator:
        found = asked(emulator, "GET", "runs/get", run_id=run)["run"]
    assert found["info"]["status"] == "RUNNING"
    assert found["data"]["metrics"] == [metric(1.0)]


def test_a_call_that_got_no_answer_is_sent_again_and_kept_once(tracking: Tracking) -> None:
    run = tracking.run()
    faults = tracking.azure.emulator.faults
    faults.set(Fault(matching="mlflow/POST runs/log-metric", lose_response=True))
    faults.set(Fault(matching="mlflow/POST runs/set-tag", refused=Refused("RESOURCE_EXHAUSTED", "slow down")))

    with pytest.raises(httpx.RemoteProtocolError):
        tracking.call("POST", "runs/log-metric", run_id=run, **metric(1.0))
    tracking.told("POST", "runs/log-metric", run_id=run, **metric(1.0))

    assert len(tracking.told("GET", "metrics/get-history", run_id=run, metric_key="loss")["metrics"]) == 1
    refused = tracking.refused("POST", "runs/set-tag", run_id=run, key="a", value="b")
    assert refused == (429, "REQUEST_LIMIT_EXCEEDED")
