"""Autoscale settings of deployments, and what comes of them by the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.endpoints.conftest import Endpoints

CPU = "CpuUtilizationPercentage"
MINUTE = timedelta(minutes=1)
API = "2022-10-01"


class Autoscaled:
    """A deployment, and settings of its autoscale by the wire."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self.path = f"{endpoints.endpoint()}/deployments/blue"
        endpoints.deploy(self.path.rpartition("/deployments")[0], model=endpoints.mlflow(1.0))
        self.target = f"{endpoints.workspace}{self.path}"

    def call(self, method: str, path: str, *, who: str = "owner", **more: Any) -> Any:
        import httpx

        cloud, emulator = self.endpoints.cloud, self.endpoints.emulator
        token = cloud.tokens.issue(cloud.tokens.directory.by_name(who), "https://management.azure.com")
        return httpx.request(
            method,
            f"{emulator.url}{path}",
            params={"api-version": API},
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            **more,
        )

    @property
    def settings(self) -> str:
        group = self.endpoints.workspace.partition("/providers/")[0]
        return f"{group}/providers/Microsoft.Insights/autoscalesettings"

    def rule(self, operator: str, threshold: float, direction: str, **action: Any) -> dict[str, Any]:
        trigger = {
            "metricName": CPU,
            "metricResourceUri": self.target,
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": "PT5M",
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": threshold,
        }
        act = {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": "PT5M", **action}
        return {"metricTrigger": trigger, "scaleAction": act}

    def properties(self, *rules: dict[str, Any], least: int = 1, most: int = 5, default: int = 1) -> dict[str, Any]:
        capacity = {"minimum": str(least), "maximum": str(most), "default": str(default)}
        profile = {"name": "always", "capacity": capacity, "rules": list(rules)}
        return {"targetResourceUri": self.target, "enabled": True, "profiles": [profile]}

    def put(self, properties: dict[str, Any], name: str = "scale", **more: Any) -> Any:
        body = {"location": "westeurope", "properties": properties}
        return self.call("PUT", f"{self.settings}/{name}", json=body, **more)

    @property
    def instances(self) -> int:
        found: int = self.endpoints.call("GET", self.path).json()["sku"]["capacity"]
        return found

    def minutes(self, count: int, cpu: float | None = None) -> None:
        """Let minutes go by, in each of which the processors are so busy."""
        for _ in range(count):
            if cpu is not None:
                self.endpoints.cloud.scaling.measure(self.target, CPU, cpu)
            self.endpoints.emulator.clock.advance(MINUTE)


@pytest.fixture
def autoscaled(endpoints: Endpoints) -> Autoscaled:
    made = Autoscaled(endpoints)
    endpoints.emulator.clock.freeze()
    return made


def test_a_setting_is_kept_shown_listed_and_deleted(autoscaled: Autoscaled) -> None:
    made = autoscaled.put(autoscaled.properties(autoscaled.rule("GreaterThan", 70, "Increase")))

    assert made.status_code == 201
    told = autoscaled.call("GET", f"{autoscaled.settings}/scale").json()
    assert told["type"] == "Microsoft.Insights/autoscaleSettings"
    assert set(told["properties"]) >= {"name", "enabled", "targetResourceUri", "profiles", "notifications"}
    assert told["properties"]["profiles"][0]["capacity"] == {"minimum": "1", "maximum": "5", "default": "1"}
    of_group = [one["name"] for one in autoscaled.call("GET", autoscaled.settings).json()["value"]]
    subscription = "/".join(autoscaled.settings.split("/")[:3])
    of_all = autoscaled.call("GET", f"{subscription}/providers/Microsoft.Insights/autoscalesettings").json()["value"]
    assert "scale" in of_group
    assert made.json()["id"] in [one["id"] for one in of_all]
    assert autoscaled.call("DELETE", f"{autoscaled.settings}/scale").status_code == 200
    assert autoscaled.call("DELETE", f"{autoscaled.settings}/scale").status_code == 204
    assert autoscaled.call("GET", f"{autoscaled.settings}/scale").status_code == 404


def test_instances_come_and_go_with_what_is_measured(autoscaled: Autoscaled) -> None:
    rules = (autoscaled.rule("GreaterThan", 70, "Increase", value="2"), autoscaled.rule("LessThan", 30, "Decrease"))
    autoscaled.put(autoscaled.properties(*rules, most=4))

    autoscaled.minutes(1, cpu=90)
    assert autoscaled.instances == 3
    autoscaled.minutes(3, cpu=90)
    assert autoscaled.instances == 3, "the cooldown is not over"
    autoscaled.minutes(3, cpu=90)
    assert autoscaled.instances == 4, "the most"
    autoscaled.minutes(30, cpu=10)
    assert autoscaled.instances == 1, "the least"
    size = autoscaled.endpoints.cloud.fleet.size(autoscaled.target)
    assert size is not None
    assert size.instances == 1
    autoscaled.call("DELETE", f"{autoscaled.settings}/scale")


def test_without_a_metric_the_default_counts_and_bounds_always_do(autoscaled: Autoscaled) -> None:
    autoscaled.put(autoscaled.properties(autoscaled.rule("GreaterThan", 70, "Increase"), default=2))
    autoscaled.minutes(1)
    assert autoscaled.instances == 2

    autoscaled.put(autoscaled.properties(least=3, default=3))
    autoscaled.minutes(1)
    assert autoscaled.instances == 3
    autoscaled.put({**autoscaled.properties(least=5, default=5), "enabled": False})
    autoscaled.minutes(2)
    assert autoscaled.instances == 3, "what is not enabled does nothing"
    autoscaled.call("DELETE", f"{autoscaled.settings}/scale")


def test_a_quota_that_is_used_up_lets_the_instances_be(autoscaled: Autoscaled) -> None:
    autoscaled.put(autoscaled.properties(least=4, default=4))
    autoscaled.endpoints.cloud.fleet.cores = 8

    autoscaled.minutes(2)

    assert autoscaled.instances == 1
    autoscaled.call("DELETE", f"{autoscaled.settings}/scale")


def test_settings_that_make_no_sense_are_refused(autoscaled: Autoscaled) -> None:
    rule = autoscaled.rule("GreaterThan", 70, "Increase")
    fine = autoscaled.properties(rule)
    bad = [
        {**fine, "profiles": []},
        autoscaled.properties(rule, least=3, most=2),
        autoscaled.properties({**rule, "metricTrigger": {**rule["metricTrigger"], "timeWindow": "PT1M"}}),
        autoscaled.properties({**rule, "metricTrigger": {**rule["metricTrigger"], "operator": "Above"}}),
        autoscaled.properties({**rule, "scaleAction": {"direction": "Increase", "type": "ChangeCount"}}),
        {**fine, "targetResourceUri": f"{autoscaled.target}-gone"},
    ]
    assert [autoscaled.put(one).status_code for one in bad] == [400] * len(bad)
    profile = {**fine["profiles"][0], "recurrence": {"frequency": "Week"}}
    unknown = [
        {**fine, "targetResourceUri": "/subscriptions/s/resourceGroups/g/providers/x/y/z"},
        {**fine, "profiles": [profile]},
        {**fine, "notifications": [{"operation": "Scale"}]},
    ]
    assert [autoscaled.put(one).status_code for one in unknown] == [501] * len(unknown)
    autoscaled.put(fine)
    assert "has the autoscale setting" in autoscaled.put(fine, name="other").json()["error"]["message"]
    autoscaled.call("DELETE", f"{autoscaled.settings}/scale")


def test_a_reader_sees_settings_and_changes_none(autoscaled: Autoscaled) -> None:
    fine = autoscaled.properties()

    assert autoscaled.put(fine, who="reader").status_code == 403
    assert autoscaled.put(fine, who="scientist").status_code == 403, (
        "Data Scientist has no action of Microsoft.Insights"
    )
    assert autoscaled.call("GET", autoscaled.settings, who="reader").status_code == 200
