"""From a registered model to predictions from keys alone: the server looks the features up itself."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import cloudmlops as cm
from cloudmlops import cli
from cloudmlops.errors import InvalidRequestError

_MODEL = """
class Model:
    def predict(self, frame):
        columns = ["wind_gust", "distance", "gust_distance"]
        return [[float(row[name]) for name in columns] for row in frame.to_dict("records")]


def _load_pyfunc(path):
    return Model()
"""
_FEATURES = """
import cloudmlops as cm


@cm.on_demand
def gust_distance(wind_gust, distance) -> float:
    return wind_gust * distance
"""


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[cm.Platform]:
    """A platform with a deployed model whose features are materialised."""
    (tmp_path / "gust_features.py").write_text(_FEATURES)
    monkeypatch.syspath_prepend(str(tmp_path))
    import gust_features

    now = datetime.now(UTC)
    table = pa.table(
        {
            "origin": ["JFK", "LGA"],
            "observed_at": [now - timedelta(hours=1), now - timedelta(days=9)],
            "wind_gust": [20.0, 9.0],
        }
    )
    pq.write_table(table, tmp_path / "weather.parquet")
    weather = cm.FeatureView(
        "weather",
        entity=cm.Entity("airport", keys={"origin": str}),
        source=cm.ParquetSource(tmp_path / "weather.parquet"),
        timestamp="observed_at",
        ttl=timedelta(days=1),
        features={"wind_gust": float},
    )
    service = cm.FeatureService(
        "flights", views=[weather], on_demand=[gust_features.gust_distance], request={"distance": float}
    )
    folder = tmp_path / "model"
    folder.mkdir()
    inputs = [{"name": name, "type": "double", "required": True} for name in ("wind_gust", "distance", "gust_distance")]
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function: {loader_module: gust_model, code: code}\n"
        f"signature:\n  inputs: '{json.dumps(inputs)}'\n"
    )
    (tmp_path / "gust_model.py").write_text(_MODEL)
    with cm.connect("local://:memory:") as opened:
        opened.features.apply([service])
        opened.features.materialize(service)
        version = opened.models.register("flights", folder, features=service, code=[tmp_path / "gust_model.py"])
        opened.endpoints.deploy(version, to="flights").wait(timeout=timedelta(seconds=60))
        yield opened


def command(platform: cm.Platform, *arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, [*arguments, "--target", platform.target], catch_exceptions=False)


def test_keys_are_enough_and_what_is_missing_is_explained(platform: cm.Platform) -> None:
    predict = platform.endpoints.predict

    assert predict("flights", [{"origin": "JFK", "distance": 3}]) == [[20.0, 3.0, 60.0]]
    assert predict("flights", [{"wind_gust": 1, "distance": 2, "gust_distance": 3}]) == [[1.0, 2.0, 3.0]]
    assert predict("flights", [{"origin": "JFK", "distance": 3, "wind_gust": 7}])[0][0] == 7.0
    assert predict("flights", [{"origin": "LGA", "distance": 3}]) == [[None, 3.0, None]]
    with pytest.raises(InvalidRequestError, match="origin"):
        predict("flights", [{"distance": 3}])
    with pytest.raises(InvalidRequestError, match="distance"):
        predict("flights", [{"origin": "JFK", "distance": "far"}])

    connection = http.client.HTTPConnection(urlsplit(platform.endpoints.status("flights").address).netloc)
    body = json.dumps({"instances": [{"origin": "JFK", "distance": 3}, {"origin": "LGA", "distance": 3}]})
    connection.request("POST", "/predict?explain_features=1", body, {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.headers["x-cloudmlops-deployment"] == "v1"
    assert [row["wind_gust"]["status"].lower() for row in answer["features"]] == ["present", "expired"]
    assert answer["features"][0]["wind_gust"]["event_time"]


def test_a_file_of_keys_is_scored(platform: cm.Platform, tmp_path: Path) -> None:
    (tmp_path / "keys.jsonl").write_text('{"origin": "JFK", "distance": 2.0}\n')

    platform.endpoints.predict_batch("flights", str(tmp_path / "keys.jsonl"), str(tmp_path / "scored.jsonl"))

    scored = json.loads((tmp_path / "scored.jsonl").read_text())
    assert scored == {"origin": "JFK", "distance": 2.0, "prediction": [20.0, 2.0, 40.0]}


def test_the_command_line_deploys_predicts_shifts_and_stops(platform: cm.Platform) -> None:
    deployed = command(
        platform, "deploy", "flights", "1", "--to", "flights", "--name", "green", "--traffic-percent", "10", "--json"
    )
    assert json.loads(deployed.stdout)["traffic_percent"] == 10

    predicted = command(platform, "predict", "flights", '{"origin": "JFK", "distance": 1}', "--json")
    assert json.loads(predicted.stdout) == [{"instance": 0, "prediction": [20.0, 1.0, 20.0]}]
    assert json.loads(command(platform, "endpoints", "rollback", "flights", "--json").stdout) == {"v1": 100}
    shifted = command(platform, "endpoints", "shift", "flights", "green=100", "v1=0", "--json")
    assert json.loads(shifted.stdout) == {"green": 100}
    shown = command(platform, "endpoints", "show", "flights")
    assert "green" in shown.stdout
    assert "healthy" in shown.stdout
    assert "serving" in command(platform, "endpoints", "logs", "flights", "green").stdout
    command(platform, "endpoints", "undeploy", "flights", "v1")
    [listed] = json.loads(command(platform, "endpoints", "list", "--json").stdout)
    assert listed["states"] == {"green": "healthy"}
    command(platform, "endpoints", "delete", "flights")
    assert json.loads(command(platform, "endpoints", "list", "--json").stdout) == []


def test_the_command_line_explains_what_it_does_not_understand(platform: cm.Platform) -> None:
    with pytest.raises(InvalidRequestError, match=r"'v1' is not DEPLOYMENT=PERCENT"):
        command(platform, "endpoints", "shift", "flights", "v1")
    with pytest.raises(InvalidRequestError, match="is neither JSON nor a file"):
        command(platform, "predict", "flights", "nonsense")
    with pytest.raises(InvalidRequestError, match="has no JSON in it"):
        command(platform, "predict", "flights", "{nonsense")
