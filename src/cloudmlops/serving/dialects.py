"""The request dialects, read into one form: named columns, or an array without names.

Vertex AI     {"instances": [{"a": 1.0}, …] or [[1.0], …]}
Azure ML      {"input_data": {"columns": […], "data": [[…], …]} or […]}, {"data": […]}, or plain […]
MLflow        {"dataframe_split": {"columns": […], "data": […]}}, {"dataframe_records": […]}, {"inputs": …} or
                  {"instances": …}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.serving.problems import BadInputError, Fault, ProblemError, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows with named values; a row may lack some."""

    rows: Sequence[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Array:
    """Rows without names: each a number, or nested lists of equal shape."""

    rows: list[Any]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Named columns of equal length."""

    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


Input = Table | Array | Columns


def read_vertex(body: Any) -> Input:
    """Read `{"instances": …}`."""
    return _read(body, {"instances": _rows})


def read_mlflow(body: Any) -> Input:
    """Read one of MLflow's four forms."""
    return _read(body, _MLFLOW)


def read_azure(body: Any) -> Input:
    """Read `{"input_data": …}`, `{"data": …}` or a plain array; MLflow's forms are understood too."""
    if isinstance(body, list):
        return _rows("the body", body)
    return _read(body, {"input_data": _input_data, "data": _input_data, **_MLFLOW})


def _read(body: Any, forms: dict[str, Callable[[str, Any], Input]]) -> Input:
    known = ", ".join(f"{form!r}" for form in forms)
    if not isinstance(body, dict):
        raise BadInputError([Fault(expected=f"an object with one of {known}", got=shown(body))])
    given = [form for form in forms if form in body]
    if len(given) != 1:
        got = f"{', '.join(repr(form) for form in given)}" if given else f"the keys {sorted(body)}"
        raise BadInputError([Fault(expected=f"exactly one of {known}", got=got)])
    if body.get("params") or body.get("parameters"):
        raise ProblemError(400, "this server takes no 'params'", hint="Fix them in the model when it is saved.")
    return forms[given[0]](given[0], body[given[0]])


def _rows(form: str, value: Any) -> Input:
    if not isinstance(value, list):
        raise BadInputError([Fault(expected=f"an array of rows in {form!r}", got=shown(value))])
    named = [isinstance(row, dict) for row in value]
    if not any(named):
        return Array(rows=value)
    if not all(named):
        wrong = [number for number, is_named in enumerate(named) if is_named is not named[0]]
        expected = "an object like row 0" if named[0] else "an array like row 0"
        raise BadInputError([Fault(row=number, expected=expected, got=shown(value[number])) for number in wrong])
    return Table(rows=value)


def _records(form: str, value: Any) -> Input:
    read = _rows(form, value)
    if isinstance(read, Array) and read.rows:
        faults = [Fault(row=number, expected="an object", got=shown(row)) for number, row in enumerate(read.rows)]
        raise BadInputError(faults)
    return Table(rows=[]) if isinstance(read, Array) else read


def _split(form: str, value: Any) -> Input:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise BadInputError([Fault(expected=f'{{"columns": […], "data": [[…], …]}} in {form!r}', got=shown(value))])
    rows = value["data"]
    if (names := value.get("columns")) is None:
        return _rows(form, rows)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInputError([Fault(expected=f"column names, as an array of text, in {form!r}", got=shown(names))])
    if len(set(names)) != len(names):
        raise BadInputError([Fault(expected=f"different column names in {form!r}", got=shown(names))])
    faults = [
        Fault(row=number, expected=f"an array of {len(names)} values", got=shown(row))
        for number, row in enumerate(rows)
        if not isinstance(row, list) or len(row) != len(names)
    ]
    if faults:
        raise BadInputError(faults)
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return Columns(columns=dict(zip(names, map(list, columns), strict=True)))


def _inputs(form: str, value: Any) -> Input:
    if not isinstance(value, dict):
        return _rows(form, value)
    lengths = {name: len(column) if isinstance(column, list) else None for name, column in value.items()}
    faults = [
        Fault(column=name, expected="an array with a value for each row", got=shown(value[name]))
        for name, length in lengths.items()
        if length is None
    ]
    if not faults and len(set(lengths.values())) > 1:
        faults = [Fault(expected=f"columns of one length in {form!r}", got=f"the lengths {lengths}")]
    if faults:
        raise BadInputError(faults)
    return Columns(columns=value)


def _input_data(form: str, value: Any) -> Input:
    return _split(form, value) if isinstance(value, dict) and "data" in value else _inputs(form, value)


_MLFLOW: Final[dict[str, Callable[[str, Any], Input]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "inputs": _inputs,
    "instances": _rows,
}
