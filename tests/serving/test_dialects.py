"""The scoring server's answers, without a socket: its ASGI application is called as a server would."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudmlops.serving.app import App
from cloudmlops.serving.loading import load_model
from cloudmlops.serving.scoring import Scorer

Answer = tuple[int, dict[str, str], Any]

_MODEL = """
def describe(frame):
    return [{name: str(value) for name, value in row.items()} for row in frame.to_dict("records")]


class Model:
    def predict(self, rows):
        if hasattr(rows, "columns"):
            if "fail" in rows.columns and rows["fail"].any():
                raise ValueError("asked to fail")
            return describe(rows)
        if isinstance(rows, dict):
            return [sorted((name, str(array.dtype), array.shape) for name, array in rows.items())]
        return rows


def _load_pyfunc(path):
    return Model()
"""
COLUMNS = [
    {"name": "a", "type": "double", "required": True},
    {"name": "n", "type": "long", "required": True},
    {"name": "s", "type": "string", "required": True},
    {"name": "b", "type": "boolean", "required": False},
    {"name": "t", "type": "datetime", "required": False},
]
TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]
NAMED = [
    {"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}},
    {"name": "k", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}},
]
GOOD = {"a": 1.5, "n": 2, "s": "x"}


def model_folder(folder: Path, inputs: list[dict[str, Any]] | None) -> Path:
    module = f"described_model_{abs(hash(json.dumps(inputs)))}"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / f"{module}.py").write_text(_MODEL)
    signature = f"signature:\n  inputs: '{json.dumps(inputs)}'\n" if inputs else ""
    (folder / "MLmodel").write_text(f"flavors:\n  python_function:\n    loader_module: {module}\n{signature}")
    return folder


def ask(
    app: App,
    path: str,
    body: object = None,
    *,
    method: str = "POST",
    kind: str | None = "application/json",
    encoding: str | None = None,
    raw: bytes | None = None,
    query: str = "",
    parts: int = 1,
) -> Answer:
    """Send one request to the application; the body in `parts` messages."""
    data = raw if raw is not None else json.dumps(body).encode()
    size = max(1, -(-len(data) // parts))
    pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    headers = [(b"content-length", str(len(data)).encode())] if parts == 1 else []
    headers += [(b"content-type", kind.encode())] if kind else []
    headers += [(b"content-encoding", encoding.encode())] if encoding else []
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    asyncio.run(app(scope, receive, send))
    start, end = sent
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(told["content-length"]) == len(end["body"])
    return start["status"], told, json.loads(end["body"])


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., App]:
    def app(inputs: list[dict[str, Any]] | None, **settings: Any) -> App:
        return App(Scorer(load_model(model_folder(tmp_path_factory.mktemp("model") / "m", inputs))), **settings)

    return app


@pytest.fixture(scope="module")
def columns(serve: Callable[..., App]) -> App:
    return serve(COLUMNS)


@pytest.fixture(scope="module")
def tensor(serve: Callable[..., App]) -> App:
    return serve(TENSOR)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"instances": [GOOD, GOOD]}),
        ("/predict", {"instances": [[1.5, 2, "x", True]] * 2}),
        ("/invocations", {"instances": [GOOD, GOOD]}),
        ("/invocations", {"dataframe_records": [GOOD, GOOD]}),
        ("/invocations", {"dataframe_split": {"columns": ["n", "a", "s"], "data": [[2, 1.5, "x"]] * 2}}),
        (
            "/invocations",
            {"dataframe_split": {"columns": ["n", "a", "s"], "index": [7, 8], "data": [[2, 1.5, "x"]] * 2}},
        ),
        ("/invocations", {"inputs": {"a": [1.5, 1.5], "n": [2, 2], "s": ["x", "x"]}}),
        ("/invocations", {"inputs": [GOOD, GOOD]}),
        ("/score", {"input_data": {"columns": ["a", "n", "s"], "index": [0, 1], "data": [[1.5, 2, "x"]] * 2}}),
        ("/score", {"input_data": {"a": [1.5, 1.5], "n": [2, 2], "s": ["x", "x"]}}),
        ("/score", {"input_data": [GOOD, GOOD]}),
        ("/score", {"data": [GOOD, GOOD]}),
        ("/score", [GOOD, GOOD]),
    ],
    ids=str,
)
def test_every_dialect_reaches_the_model_alike(serve: Callable[..., App], path: str, body: object) -> None:
    app = serve([part for part in COLUMNS if part["name"] != "t"])
    status, headers, answer = ask(app, path, body)

    assert status == 200, answer
    assert headers["content-type"] == "application/json"
    predictions = answer if path == "/score" else answer["predictions"]
    assert [{name: row[name] for name in "ans"} for row in predictions] == [{"a": "1.5", "n": "2", "s": "x"}] * 2


def test_arrays_go_in_and_come_out_in_order(tensor: App) -> None:
    assert ask(tensor, "/invocations", {"inputs": [[1, 2], [3, 4.5]]})[2] == {"predictions": [[1, 2], [3, 4.5]]}
    assert ask(tensor, "/predict", {"instances": [[1, None]]})[2] == {"predictions": [[1, None]]}
    assert ask(tensor, "/score", [[1, 2]])[2] == [[1, 2]]
    assert ask(tensor, "/predict", {"instances": []})[2] == {"predictions": []}


def test_named_values_are_taken_in_the_first_rows_order_whatever_order_the_others_have(tensor: App) -> None:
    instances = [{"p": 1, "q": 2}, {"q": 4, "p": 3}]

    assert ask(tensor, "/predict", {"instances": instances})[2] == {"predictions": [[1, 2], [3, 4]]}

    status, _, answer = ask(tensor, "/predict", {"instances": [*instances, {"p": 1, "r": 2}]})
    assert status == 400
    assert [(fault["row"], fault["got"]) for fault in answer["error"]["faults"]] == [(2, "the columns ['p', 'r']")]


def test_several_arrays_go_in_by_name(serve: Callable[..., App]) -> None:
    app = serve(NAMED)

    by_row = ask(app, "/predict", {"instances": [{"x": [1, 2], "k": 3}, {"x": [1, 2], "k": 4}]})
    by_name = ask(app, "/invocations", {"inputs": {"x": [[1, 2], [3, 4]], "k": [3, 4]}})

    expected = [[["k", "int64", [2]], ["x", "float32", [2, 2]]]]
    assert by_row[2]["predictions"] == by_name[2]["predictions"] == expected
    status, _, answer = ask(app, "/predict", {"instances": [{"x": [1, "y"]}]})
    assert status == 400
    assert [(fault["row"], fault["column"]) for fault in answer["error"]["faults"]] == [(0, "1"), (None, "k")]


def test_a_model_without_signature_takes_what_has_a_shape(serve: Callable[..., App]) -> None:
    app = serve(None)

    assert ask(app, "/invocations", {"inputs": [[1, 2], [3, 4]]})[2] == {"predictions": [[1, 2], [3, 4]]}
    assert ask(app, "/invocations", {"dataframe_records": [{"q": 1}]})[2] == {"predictions": [{"q": "1"}]}
    assert ask(app, "/invocations", {"inputs": [[1, 2], [3]]})[0] == 400


def test_all_faults_of_the_input_are_listed_with_row_and_column(columns: App) -> None:
    rows = [GOOD, {"a": "one", "n": 2.5, "s": 3, "b": 1, "t": "yesterday"}, {"a": True, "s": None}]

    status, _, answer = ask(columns, "/predict", {"instances": rows})

    assert status == 400
    faults = {(fault["row"], fault["column"]): (fault["expected"], fault["got"]) for fault in answer["error"]["faults"]}
    assert faults == {
        (1, "a"): ("a number or null", "text 'one'"),
        (1, "n"): ("a whole number of 64 bits", "2.5"),
        (1, "s"): ("text or null", "3"),
        (1, "b"): ("true or false", "1"),
        (1, "t"): ("a time in ISO 8601, as text, of the years 1678 to 2261", "text 'yesterday'"),
        (2, "a"): ("a number or null", "true"),
        (2, "n"): ("a whole number of 64 bits", "nothing"),
    } | {key: value for key, value in faults.items() if key[1] in ("b", "t") and key[0] in (0, 2)}
    assert answer["error"]["fault_count"] == len(answer["error"]["faults"])
    assert answer["error"]["reason"].startswith("the input does not fit the model (")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2500-01-01", "soon"])
def test_a_time_that_the_model_cannot_hold_is_the_callers_fault(columns: App, time: str) -> None:
    status, _, answer = ask(columns, "/predict", {"instances": [{**GOOD, "t": time}]})

    assert status == 400
    assert [(fault["row"], fault["column"]) for fault in answer["error"]["faults"]] == [(0, "t")]


def test_an_optional_column_may_be_left_out_in_some_rows(columns: App) -> None:
    status, _, answer = ask(columns, "/predict", {"instances": [GOOD | {"b": True, "t": "2026-01-02T03:04:05Z"}, GOOD]})

    assert status == 200, answer
    assert [row["b"] for row in answer["predictions"]] == ["True", "None"]
    assert ask(columns, "/predict", {"instances": [GOOD | {"b": None}]})[2]["predictions"][0]["b"] == "None"
    assert [row["t"] for row in answer["predictions"]] == ["2026-01-02 03:04:05", "NaT"]


def test_a_missing_column_is_named_with_what_came_in_its_place(columns: App) -> None:
    _, _, answer = ask(
        columns, "/invocations", {"dataframe_split": {"columns": ["a", "N", "s"], "data": [[1, 2, "x"]]}}
    )

    assert answer["error"]["reason"] == (
        "the input does not fit the model (1 fault): column 'n': expected a whole number of 64 bits, "
        "got nothing; columns that the model does not know: ['N']"
    )


def test_many_faults_are_counted_and_some_listed(tensor: App) -> None:
    _, _, answer = ask(tensor, "/predict", {"instances": [[1]] * 500})

    assert answer["error"]["fault_count"] == 500
    assert len(answer["error"]["faults"]) == 100


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/predict", {"inputs": []}, "expected exactly one of 'instances', got the keys ['inputs']"),
        ("/predict", [1], "expected an object with one of 'instances', got array [1]"),
        ("/predict", {"instances": 3}, "expected an array of rows in 'instances', got 3"),
        ("/predict", {"instances": [GOOD, 3]}, "row 1: expected an object like row 0, got 3"),
        ("/invocations", {"inputs": [], "instances": []}, "got 'inputs', 'instances'"),
        ("/invocations", {"dataframe_records": [1, 2]}, "row 0: expected an object, got 1"),
        ("/invocations", {"dataframe_split": {"columns": ["a"]}}, "in 'dataframe_split'"),
        ("/invocations", {"dataframe_split": {"columns": ["a", "a"], "data": []}}, "different column names"),
        (
            "/invocations",
            {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
            "row 0: expected an array of 1 values",
        ),
        ("/invocations", {"inputs": {"a": [1], "n": [1, 2]}}, "columns of one length"),
        ("/invocations", {"inputs": {"a": 1}}, "column 'a': expected an array with a value for each row, got 1"),
        ("/predict", {"instances": [[1, 2]]}, "an array of 5 values, in the order ['a', 'n', 's', 'b', 't']"),
        ("/invocations", {"inputs": [GOOD], "params": {"x": 1}}, "takes no 'params'"),
    ],
    ids=str,
)
def test_a_malformed_body_is_explained(columns: App, path: str, body: object, told: str) -> None:
    status, _, answer = ask(columns, path, body)

    assert status == 400
    assert told in answer["error"]["reason"]


def test_a_body_that_is_not_json_is_explained(columns: App) -> None:
    status, _, answer = ask(columns, "/predict", raw=b"{instances")

    assert status == 400
    assert answer["error"]["reason"].startswith("the body is not JSON")
    assert "{instances" in answer["error"]["hint"]


def test_another_content_type_is_415_and_none_is_taken_for_json(tensor: App) -> None:
    status, _, answer = ask(tensor, "/predict", {"instances": []}, kind="text/csv")

    assert status == 415
    assert "'text/csv'" in answer["error"]["reason"]
    assert ask(tensor, "/predict", {"instances": []}, kind=None)[0] == 200
    assert ask(tensor, "/predict", {"instances": []}, kind="Application/JSON; charset=utf-8")[0] == 200


def test_a_compressed_body_is_415_and_not_taken_for_broken_json(tensor: App) -> None:
    body = b'{"instances": []}'

    status, headers, answer = ask(tensor, "/predict", raw=gzip.compress(body), encoding="gzip")

    assert (status, headers["accept-encoding"]) == (415, "identity")
    assert "'gzip'" in answer["error"]["reason"]
    assert ask(tensor, "/predict", raw=body, encoding="identity")[0] == 200


def test_a_body_that_is_too_large_is_413_told_or_not(serve: Callable[..., App]) -> None:
    app = serve(TENSOR, body_limit=100)

    for parts in (1, 3):
        status, headers, answer = ask(app, "/predict", {"instances": [[1, 2]] * 50}, parts=parts)
        assert status == 413
        assert "larger than 100 bytes" in answer["error"]["reason"]
        assert headers["connection"] == "close"
    assert ask(app, "/predict", {"instances": [[1, 2]]}, parts=3)[0] == 200


def test_unknown_routes_and_methods_name_the_known_ones(tensor: App) -> None:
    status, _, answer = ask(tensor, "/nothing", {})
    assert status == 404
    assert "/invocations" in answer["error"]["hint"]

    status, headers, _ = ask(tensor, "/predict", method="GET")
    assert status == 405
    assert headers["allow"] == "POST"


def test_vertex_chooses_the_routes(serve: Callable[..., App]) -> None:
    app = serve(TENSOR, predict_route="/v1/endpoints/7:predict", health_route="/v1/health")

    assert ask(app, "/v1/endpoints/7:predict", {"instances": [[1, 2]]})[0] == 200
    assert ask(app, "/v1/health", method="GET")[2] == {"status": "ok"}
    assert ask(app, "/healthz", method="GET")[0] == 200


def test_an_error_of_the_model_is_its_own_and_not_the_callers(
    serve: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = serve([{"name": "fail", "type": "boolean", "required": True}])

    status, _, answer = ask(app, "/predict", {"instances": [{"fail": True}]})

    assert status == 500
    assert answer["error"]["reason"] == "the model failed: ValueError: asked to fail"
    assert "asked to fail" in caplog.text
    assert ask(app, "/predict", {"instances": [{"fail": False}]})[0] == 200


def test_features_are_explained_only_where_they_are_looked_up(tensor: App) -> None:
    status, _, answer = ask(tensor, "/predict", {"instances": [[1, 2]]}, query="explain_features=1")

    assert status == 400
    assert "--target" in answer["error"]["hint"]
