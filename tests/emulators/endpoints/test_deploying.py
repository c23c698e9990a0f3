"""Endpoints serve for real: a deployed model is a process that answers."""

from __future__ import annotations

from tests.emulators.endpoints.conftest import Served


def test_a_deployed_model_predicts_and_is_gone_when_it_is_undeployed(served: Served) -> None:
    endpoint = served.endpoint()

    identity = served.deploy(endpoint, served.model(2.0), split={"0": 100})

    assert served.predict(endpoint, 1.5) == 3.0
    assert [machine.deployed_model for machine in served.fleet.machines()] == [identity]
    served.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=identity).result(timeout=30)
    assert served.fleet.machines() == []
    assert served.endpoints.get_endpoint(name=endpoint).traffic_split == {}
