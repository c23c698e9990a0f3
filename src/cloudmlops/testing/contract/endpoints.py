"""What every provider's endpoints do."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudmlops.domain.capabilities import Capability, Support
from cloudmlops.domain.endpoints import DeploymentState, Shortfall
from cloudmlops.domain.events import ModelDeployed
from cloudmlops.errors import (
    ConflictError,
    DeploymentFailedError,
    InvalidRequestError,
    InvalidTrafficError,
    NotFoundError,
    UnsupportedError,
)
from cloudmlops.services.effects import handling
from cloudmlops.testing.model_folders import write_scaling_model

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.domain.models import ModelVersion

LONG = timedelta(minutes=5)

Register = Callable[..., "ModelVersion"]
Disown = Callable[[str], None]
"""Makes an endpoint somebody else's until the test ends."""


class EndpointsContract:
    """Needs a fixture `platform`. Each version multiplies by its factor, so that an answer tells which one gave it."""

    @pytest.fixture
    def register(self, platform: Platform, tmp_path: Path) -> Iterator[Register]:
        """Register a version with `register(factor)`; the endpoints are deleted after the test."""
        made = iter(range(100))

        def registered(factor: float = 1.0, *, fails: str | None = None) -> ModelVersion:
            folder = write_scaling_model(tmp_path / f"model-{next(made)}", factor=factor, fails=fails)
            return platform.models.register("scaling", folder)

        yield registered
        for status in platform.endpoints.list():
            platform.endpoints.delete(status.name)

    @pytest.fixture
    def disown(self) -> Disown | None:
        """None where no other tool makes endpoints; a provider where others do overrides this."""
        return None

    def test_a_first_deployment_gets_all_traffic_and_predicts(self, platform: Platform, register: Register) -> None:
        version = register(2.0)

        deployment = platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)

        status = platform.endpoints.status("scaling")
        assert status.traffic == {deployment.name: 100}
        assert deployment.status.state is DeploymentState.HEALTHY
        assert deployment.status.version == version.version
        assert platform.endpoints.predict("scaling", [[1.5, 0], [4, 0]]) == [3.0, 8.0]
        assert [found.name for found in platform.endpoints.list()] == ["scaling"]

    def test_a_second_deployment_gets_nothing_until_it_is_shifted_to(
        self, platform: Platform, register: Register
    ) -> None:
        one = platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        two = platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]

        platform.endpoints.shift_traffic("scaling", {two.name: 100})

        assert platform.endpoints.predict("scaling", [[1, 0]]) == [2.0]
        assert platform.endpoints.rollback("scaling").traffic == {one.name: 100}
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]

    def test_traffic_is_split_by_weight(self, platform: Platform, register: Register) -> None:
        platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        platform.endpoints.deploy(register(2.0), to="scaling", traffic_percent=20).wait(timeout=LONG)

        counts = Counter(platform.endpoints.predict("scaling", [[1, 0]])[0] for _ in range(200))

        self.check_split(counts, {1.0: 160, 2.0: 40})

    def check_split(self, counts: Counter[float], expected: dict[float, int]) -> None:
        """Compare how often each version answered; a provider that splits by chance allows for it here."""
        assert counts == expected

    def test_bad_input_is_refused_with_every_fault(self, platform: Platform, register: Register) -> None:
        platform.endpoints.deploy(register(), to="scaling").wait(timeout=LONG)

        with pytest.raises(InvalidRequestError, match="refused the input") as caught:
            platform.endpoints.predict("scaling", [[1, 0], ["x", 0], [1]])

        assert len(caught.value.faults) == 2
        assert "row 1" in caught.value.faults[0]
        assert "expected numbers" in caught.value.faults[0]
        assert "row 2" in caught.value.faults[1]

    def test_a_deployment_that_fails_leaves_the_endpoint_as_it_was(
        self, platform: Platform, register: Register
    ) -> None:
        platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        before = platform.endpoints.status("scaling")
        broken = platform.endpoints.deploy(register(fails="weights are missing"), to="scaling", traffic_percent=50)

        with pytest.raises(DeploymentFailedError, match="weights are missing"):
            broken.wait(timeout=LONG)

        assert broken.status.state is DeploymentState.FAILED
        assert platform.endpoints.status("scaling") == before
        assert "weights are missing" in platform.endpoints.logs("scaling", broken.name)
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]

    def test_a_first_deployment_that_fails_leaves_no_endpoint(self, platform: Platform, register: Register) -> None:
        broken = platform.endpoints.deploy(register(fails="weights are missing"), to="scaling")

        with pytest.raises(DeploymentFailedError, match="weights are missing"):
            broken.wait(timeout=LONG)

        assert platform.endpoints.list() == []
        with pytest.raises(NotFoundError):
            platform.endpoints.status("scaling")
        platform.endpoints.deploy(register(3.0), to="scaling").wait(timeout=LONG)
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [3.0]

    def test_wrong_traffic_is_refused_with_all_faults(self, platform: Platform, register: Register) -> None:
        deployment = platform.endpoints.deploy(register(), to="scaling").wait(timeout=LONG)

        with pytest.raises(InvalidTrafficError) as caught:
            platform.endpoints.shift_traffic("scaling", {deployment.name: 120, "blue": -10})

        assert len(caught.value.faults) == 4
        assert "sum to 110, not 100" in str(caught.value)
        assert platform.endpoints.status("scaling").traffic == {deployment.name: 100}

    def test_undeploying_refuses_to_take_traffic_away_unless_told(self, platform: Platform, register: Register) -> None:
        one = platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        two = platform.endpoints.deploy(register(2.0), to="scaling", traffic_percent=50).wait(timeout=LONG)
        with pytest.raises(InvalidTrafficError, match=r"50 % of the traffic"):
            platform.endpoints.undeploy("scaling", one.name)

        platform.endpoints.undeploy("scaling", one.name, traffic=Shortfall.REDISTRIBUTE)

        assert platform.endpoints.status("scaling").traffic == {two.name: 100}
        assert one.status.state is DeploymentState.GONE
        with pytest.raises(InvalidTrafficError, match="not deployed"):
            platform.endpoints.rollback("scaling")
        platform.endpoints.undeploy("scaling", two.name)
        assert platform.endpoints.status("scaling").deployments == []

    def test_an_emptied_endpoint_says_so_and_cannot_be_rolled_back_to(
        self, platform: Platform, register: Register
    ) -> None:
        one = platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        platform.endpoints.undeploy("scaling", one.name)
        with pytest.raises(NotFoundError, match="'scaling'"):
            platform.endpoints.predict("scaling", [[1, 0]])

        platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)

        with pytest.raises(InvalidTrafficError, match="had traffic before the last change"):
            platform.endpoints.rollback("scaling")
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [2.0]

    def test_no_request_fails_while_traffic_is_shifted_and_a_version_undeployed(
        self, platform: Platform, register: Register
    ) -> None:
        one = platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        two = platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)
        answers: list[float] = []
        faults: list[Exception] = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                try:
                    answers.extend(platform.endpoints.predict("scaling", [[1, 0.002]]))
                except Exception as error:  # noqa: BLE001 whatever fails is what this test is about
                    faults.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for percent in (10, 50, 90, 30, 100):
                seen = len(answers)
                platform.endpoints.shift_traffic("scaling", {one.name: 100 - percent, two.name: percent})
                while len(answers) < seen + 20 and not faults:
                    pass
            platform.endpoints.undeploy("scaling", one.name)
        finally:
            ended.set()
            for thread in threads:
                thread.join()

        assert faults == []
        assert set(answers) == {1.0, 2.0}
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [2.0]

    def test_a_healthy_deployment_is_told_once(self, platform: Platform, register: Register) -> None:
        deployment = platform.endpoints.deploy(register(), to="scaling").wait(timeout=LONG)
        platform.endpoints.status("scaling")
        deployment.wait(timeout=LONG)

        told = [event for event in platform.events.list() if isinstance(event, ModelDeployed)]

        assert [(event.endpoint, event.deployment) for event in told] == [("scaling", deployment.name)]

    def test_a_deleted_version_is_neither_deployed_nor_scored(
        self, platform: Platform, register: Register, tmp_path: Path
    ) -> None:
        version, _ = register(), register()
        platform.models.delete(version.model, version.version)
        (tmp_path / "rows.jsonl").write_text('{"value": 1.0, "seconds": 0.0}\n')

        with pytest.raises(NotFoundError, match=f"scaling@{version.version} was deleted by"):
            platform.endpoints.deploy(version, to="scaling")
        with pytest.raises(NotFoundError, match=f"scaling@{version.version} was deleted by"):
            platform.endpoints.predict_batch(version, str(tmp_path / "rows.jsonl"), str(tmp_path / "scored.jsonl"))

        assert platform.endpoints.list() == []
        assert not (tmp_path / "scored.jsonl").exists()

    def test_a_name_is_given_to_one_deployment(self, platform: Platform, register: Register) -> None:
        version = register()
        platform.endpoints.deploy(version, to="scaling", name="blue").wait(timeout=LONG)

        with pytest.raises(ConflictError, match="'blue' exists"):
            platform.endpoints.deploy(version, to="scaling", name="blue")

    def test_a_handler_that_runs_again_deploys_once(self, platform: Platform, register: Register) -> None:
        version = register(2.0)
        with handling("key of one event"):
            first = platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)

        with handling("key of one event"):
            again = platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)

        assert again.status == first.status
        assert len(platform.endpoints.status("scaling").deployments) == 1
        platform.endpoints.undeploy("scaling", first.name)
        with handling("key of one event"):
            late = platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)
        assert late.status.state is DeploymentState.GONE

    def test_what_cannot_be_deployed_is_refused_with_all_faults(self, platform: Platform, register: Register) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            platform.endpoints.deploy(register(), to="No Name", name="-", replicas=(2, 1), traffic_percent=101)

        assert len(caught.value.faults) == 4
        assert platform.endpoints.list() == []

    def test_replicas_that_scale_need_the_capability(self, platform: Platform, register: Register) -> None:
        version = register()
        if platform.capabilities.of(Capability.AUTOSCALE) is Support.ABSENT:
            with pytest.raises(UnsupportedError, match="autoscale"):
                platform.endpoints.deploy(version, to="scaling", replicas=(1, 2))
            assert platform.endpoints.list() == []

    def test_requests_are_mirrored_where_the_provider_can(self, platform: Platform, register: Register) -> None:
        one = platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
        if platform.capabilities.of(Capability.MIRROR_TRAFFIC) is Support.ABSENT:
            with pytest.raises(UnsupportedError, match="mirror"):
                platform.endpoints.mirror_traffic("scaling", one.name, percent=10)
            return
        two = platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)

        status = platform.endpoints.mirror_traffic("scaling", two.name, percent=10)

        assert (status.mirror, status.traffic) == ({two.name: 10}, {one.name: 100})
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]
        with pytest.raises(InvalidTrafficError, match="100 % of the traffic itself"):
            platform.endpoints.mirror_traffic("scaling", one.name, percent=10)

    def test_an_unknown_endpoint_is_not_found(self, platform: Platform) -> None:
        for ask in (
            lambda: platform.endpoints.predict("nowhere", [[1, 0]]),
            lambda: platform.endpoints.status("nowhere"),
            lambda: platform.endpoints.shift_traffic("nowhere", {"v1": 100}),
            lambda: platform.endpoints.rollback("nowhere"),
            lambda: platform.endpoints.undeploy("nowhere", "v1"),
            lambda: platform.endpoints.delete("nowhere"),
            lambda: platform.endpoints.logs("nowhere", "v1"),
        ):
            with pytest.raises(NotFoundError, match="'nowhere'"):
                ask()

    def test_an_endpoint_that_others_made_is_asked_and_never_changed(
        self, platform: Platform, register: Register, disown: Disown | None
    ) -> None:
        if disown is None:
            return
        version = register(2.0)
        name = platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG).name
        disown("scaling")

        for change in (
            lambda: platform.endpoints.deploy(version, to="scaling", name="another"),
            lambda: platform.endpoints.shift_traffic("scaling", {name: 100}),
            lambda: platform.endpoints.undeploy("scaling", name),
            lambda: platform.endpoints.delete("scaling"),
        ):
            with pytest.raises(ConflictError, match=r"'scaling' was not made by this library: .*payments"):
                change()

        assert platform.endpoints.list() == []
        assert platform.endpoints.status("scaling").traffic == {name: 100}
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [2.0]

    def test_a_file_is_scored_as_requests_are(self, platform: Platform, register: Register, tmp_path: Path) -> None:
        source, output = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
        source.write_text('{"value": 2, "seconds": 0}\n{"value": 3.5, "seconds": 0}\n', encoding="utf-8")

        platform.endpoints.predict_batch(register(2.0), source.as_uri(), output.as_uri())

        scored = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert [row["prediction"] for row in scored] == [4.0, 7.0]
        assert scored[0]["value"] == 2
