"""A model's MLflow signature, compiled at load: it checks a request's input and makes what the model takes.

Columns become a pandas frame (or, for a model fitted on arrays, an array), tensors become arrays.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import numpy as np

from cloudmlops.serving.dialects import Array, Columns, Input, Table
from cloudmlops.serving.problems import BadInputError, Fault, shown


class Signature(Protocol):
    """What a model takes."""

    def convert(self, given: Input) -> Any:
        """Return the model's input; `BadInputError` lists every fault of what was given."""
        ...

    def example(self) -> Any:
        """Return an input of one row, for a first call at load; None when none can be made up."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Required columns; empty for tensors."""
        ...


def compile_signature(inputs: str | None, *, frames: bool, features: int | None = None) -> Signature:
    """Compile the text of `signature.inputs` in an `MLmodel` file.

    Args:
        inputs: The JSON text; None when the model has no signature.
        frames: Whether the model takes a pandas frame for named columns; else it takes an array.
        features: The number of values in a row, where the model knows it though it has no signature.
    """
    specs: list[dict[str, Any]] = json.loads(inputs) if inputs else []
    if not specs:
        return ShapeOnly(features, frames=frames)
    tensors = [spec for spec in specs if spec["type"] == "tensor"]
    if not tensors:
        return ColumnSignature([_column(spec, number) for number, spec in enumerate(specs)], frames=frames)
    compiled = [
        Tensor(name=spec.get("name"), dtype=np.dtype(part["dtype"]), shape=tuple(part["shape"]))
        for spec in tensors
        for part in [spec["tensor-spec"]]
    ]
    if compiled[0].name is None:
        return TensorSignature(compiled[0])
    return NamedTensors(compiled)


_MISSING: Final = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnType:
    """One type of MLflow's column signatures."""

    expected: str
    kinds: frozenset[type]
    """JSON types that need no further look."""
    dtype: str
    example: Any
    convert: Callable[[Any], Any] | None = None
    """Turns a JSON value of another type into the model's; ValueError or TypeError when it cannot."""


def _whole(bits: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if type(value) is not int or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(value)
        return value

    return convert


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(value) from error


_FIRST_YEAR: Final = 1678
_LAST_YEAR: Final = 2261
"""Between them nanoseconds since 1970 fit into 64 bits; outside, numpy would give another time without a word."""


def _time(value: Any) -> np.datetime64:
    at = datetime.fromisoformat(value)
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise ValueError(value)
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at, "ns")


def _anything(value: Any) -> Any:
    return value


_NUMBERS: Final = frozenset[type]({float, int, type(None)})
_TEXTS: Final = frozenset[type]({str, type(None)})
_BOOLEANS: Final = frozenset[type]({bool})
_TYPES: Final[Mapping[str, ColumnType]] = {
    "boolean": ColumnType(expected="true or false", kinds=_BOOLEANS, dtype="bool", example=False),
    "integer": ColumnType(
        expected="a whole number of 32 bits", kinds=frozenset(), dtype="int32", example=0, convert=_whole(32)
    ),
    "long": ColumnType(
        expected="a whole number of 64 bits", kinds=frozenset(), dtype="int64", example=0, convert=_whole(64)
    ),
    "float": ColumnType(expected="a number or null", kinds=_NUMBERS, dtype="float32", example=0.0),
    "double": ColumnType(expected="a number or null", kinds=_NUMBERS, dtype="float64", example=0.0),
    "string": ColumnType(expected="text or null", kinds=_TEXTS, dtype="object", example=""),
    "binary": ColumnType(expected="base64 text", kinds=frozenset(), dtype="object", example="", convert=_bytes),
    "datetime": ColumnType(
        expected=f"a time in ISO 8601, as text, of the years {_FIRST_YEAR} to {_LAST_YEAR}",
        kinds=frozenset(),
        dtype="datetime64[ns]",
        example="2000-01-01T00:00:00",
        convert=_time,
    ),
}
_NESTED: Final = ColumnType(expected="any value", kinds=frozenset(), dtype="object", example=None, convert=_anything)


_WITH_NULLS: Final = {"bool": "object", "int32": "float64", "int64": "float64"}
"""What pandas makes of a column of that type in which values are missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A named column; nested types (arrays, objects, maps) are passed on as JSON gives them."""

    name: str
    type: ColumnType
    required: bool

    def convert(self, values: list[Any], faults: list[Fault]) -> Any:
        """Return the values as an array; what is wrong with them is added to `faults`."""
        if set(map(type, values)) <= self.type.kinds:
            return np.array(values, dtype=self.type.dtype)
        converted = []
        for row, value in enumerate(values):
            try:
                converted.append(self._one(value))
            except (ValueError, TypeError):
                got = "nothing" if value is _MISSING else shown(value)
                faults.append(Fault(row=row, column=self.name, expected=self.type.expected, got=got))
        if len(converted) < len(values):
            return None
        dtype = _WITH_NULLS.get(self.type.dtype, self.type.dtype) if None in converted else self.type.dtype
        array = np.empty(len(converted), dtype=dtype)
        array[:] = converted
        return array

    def _one(self, value: Any) -> Any:
        if not self.required and (value is _MISSING or value is None):
            return None
        if value is _MISSING:
            raise ValueError(value)
        if type(value) in self.type.kinds:
            return value
        if self.type.convert is None:
            raise TypeError(value)
        return self.type.convert(value)


class ColumnSignature:
    """Named columns. Columns that the model does not know are left out, as MLflow does."""

    def __init__(self, columns: Sequence[Column], *, frames: bool) -> None:
        self.columns = columns
        self.names = [column.name for column in columns if column.required]
        self.known = [column.name for column in columns]
        self._frames = frames
        dtypes = {column.type.dtype for column in columns}
        self.uniform = len(dtypes) == 1 and dtypes != {"object"}

    def convert(self, given: Input) -> Any:
        by_name = self._by_name(given)
        faults: list[Fault] = []
        arrays = {
            column.name: column.convert(by_name[column.name], faults)
            for column in self.columns
            if column.name in by_name
        }
        unknown = sorted(set(_names(given)) - set(self.known))
        for column in self.columns:
            if column.required and column.name not in by_name:
                got = f"nothing; columns that the model does not know: {unknown}" if unknown else "nothing"
                faults.append(Fault(column=column.name, expected=column.type.expected, got=got))
        if faults:
            raise BadInputError(sorted(faults, key=lambda fault: (fault.row is not None, fault.row or 0)))
        return self._joined(arrays)

    def example(self) -> Any:
        return self.convert(Table(rows=[{column.name: column.type.example for column in self.columns}]))

    def _by_name(self, given: Input) -> dict[str, list[Any]]:
        if isinstance(given, Columns):
            return given.columns
        if isinstance(given, Table):
            present = set().union(*given.rows) if given.rows else set(self.known)
            return {name: [row.get(name, _MISSING) for row in given.rows] for name in self.known if name in present}
        width = len(self.known)
        expected = f"an array of {width} values, in the order {self.known}"
        faults = [
            Fault(row=number, expected=expected, got=shown(row))
            for number, row in enumerate(given.rows)
            if not isinstance(row, list) or len(row) != width
        ]
        if faults:
            raise BadInputError(faults)
        columns: Iterable[Any] = zip(*given.rows, strict=True) if given.rows else ((),) * width
        return dict(zip(self.known, map(list, columns), strict=True))

    def _joined(self, arrays: dict[str, Any]) -> Any:
        if not self._frames:
            return np.column_stack([arrays[name] for name in self.known if name in arrays])
        import pandas as pd

        if self.uniform:
            # One block instead of one a column: several times faster to build, and to read for the model.
            block = np.column_stack(list(arrays.values())) if len(arrays) > 1 else next(iter(arrays.values()))[:, None]
            return pd.DataFrame(block, columns=list(arrays), copy=False)
        return pd.DataFrame(arrays, copy=False)


def _names(given: Input) -> Iterable[str]:
    if isinstance(given, Columns):
        return given.columns
    return given.rows[0] if isinstance(given, Table) and given.rows else ()


def _column(spec: Mapping[str, Any], number: int) -> Column:
    kind = _TYPES.get(spec["type"], _NESTED)
    return Column(name=str(spec.get("name", number)), type=kind, required=bool(spec.get("required", True)))


# Tensors.

_KINDS: Final[Mapping[str, tuple[str, frozenset[type]]]] = {
    "f": ("numbers", frozenset({float, int, type(None)})),
    "i": ("whole numbers", frozenset({int})),
    "u": ("whole numbers that are not negative", frozenset({int})),
    "b": ("true or false", frozenset({bool})),
    "U": ("text", frozenset({str})),
    "O": ("values", frozenset({bool, int, float, str, type(None)})),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """An array of one type; -1 in `shape` is any size."""

    name: str | None
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def convert(self, rows: list[Any], faults: list[Fault]) -> Any:
        """Return the rows as an array; what is wrong with them is added to `faults`."""
        what, kinds = _KINDS.get(self.dtype.kind, _KINDS["O"])
        found = len(faults)
        for number, row in enumerate(rows):
            if (wrong := _row_fault(row, self.shape[1:], kinds)) is not None:
                place, got = wrong
                size = " x ".join("any" if part < 0 else str(part) for part in self.shape[1:])
                expected = f"{what}, {size} of them" if size else what
                faults.append(Fault(row=number, column=place or self.name, expected=expected, got=got))
        if len(faults) > found:
            return None
        try:
            array = np.array(rows, dtype=self.dtype)
        except (ValueError, OverflowError) as error:
            faults.append(Fault(column=self.name, expected=f"an array of {self.dtype}", got=str(error)))
            return None
        if not rows:
            array = array.reshape((0, *(max(part, 0) for part in self.shape[1:])))
        if self.shape and self.shape[0] >= 0 and len(rows) != self.shape[0]:
            faults.append(Fault(column=self.name, expected=f"{self.shape[0]} rows", got=f"{len(rows)} rows"))
        return array

    def example(self) -> Any:
        """Return one row of zeros."""
        return np.zeros((1, *(max(part, 1) for part in self.shape[1:])), dtype=self.dtype)


def _row_fault(row: Any, shape: tuple[int, ...], kinds: frozenset[type]) -> tuple[str | None, str] | None:
    if not shape:
        return None if type(row) in kinds else (None, shown(row))
    if type(row) is not list:
        return None, shown(row)
    if shape[0] >= 0 and len(row) != shape[0]:
        return None, f"{len(row)} values"
    if len(shape) == 1:
        if set(map(type, row)) <= kinds:
            return None
        place = next(number for number, value in enumerate(row) if type(value) not in kinds)
        return str(place), shown(row[place])
    for number, part in enumerate(row):
        if (wrong := _row_fault(part, shape[1:], kinds)) is not None:
            return f"{number}" + (f", {wrong[0]}" if wrong[0] else ""), wrong[1]
    return None


class TensorSignature:
    """One array without a name; named columns are taken in the order given, as MLflow does."""

    names: Sequence[str] = ()

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def convert(self, given: Input) -> Any:
        faults: list[Fault] = []
        array = self._tensor.convert(_plain_rows(given), faults)
        if faults:
            raise BadInputError(faults)
        return array

    def example(self) -> Any:
        return self._tensor.example()


class NamedTensors:
    """Several arrays by name."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self.names = [str(tensor.name) for tensor in tensors]

    def convert(self, given: Input) -> Any:
        faults: list[Fault] = []
        if isinstance(given, Array):
            raise BadInputError([Fault(expected=f"the named arrays {self.names}", got="an array without names")])
        arrays = {}
        for tensor in self._tensors:
            name = str(tensor.name)
            if isinstance(given, Columns):
                values = given.columns.get(name)
            else:
                values = [row[name] for row in given.rows if name in row]
                values = values if len(values) == len(given.rows) else None
            if values is None:
                faults.append(Fault(column=name, expected=f"an array of {tensor.dtype} in every row", got="nothing"))
            else:
                arrays[name] = tensor.convert(values, faults)
        if faults:
            raise BadInputError(faults)
        return arrays

    def example(self) -> Any:
        return {str(tensor.name): tensor.example() for tensor in self._tensors}


class ShapeOnly:
    """A model without a signature: rows of equal shape, and as wide as the model says, where it does."""

    names: Sequence[str] = ()

    def __init__(self, features: int | None, *, frames: bool) -> None:
        self._features = features
        self._frames = frames

    def convert(self, given: Input) -> Any:
        if not isinstance(given, Array):
            import pandas as pd

            frame = pd.DataFrame(given.columns if isinstance(given, Columns) else list(given.rows))
            return frame if self._frames else frame.to_numpy()
        if self._features is not None:
            faults = [
                Fault(row=number, expected=f"an array of {self._features} values", got=shown(row))
                for number, row in enumerate(given.rows)
                if type(row) is not list or len(row) != self._features
            ]
            if faults:
                raise BadInputError(faults)
        try:
            return np.array(given.rows)
        except ValueError as error:
            raise BadInputError([Fault(expected="rows of one shape", got=str(error))]) from error

    def example(self) -> Any:
        return None if self._features is None else np.zeros((1, self._features))


def _plain_rows(given: Input) -> list[Any]:
    if isinstance(given, Array):
        return given.rows
    if isinstance(given, Columns):
        return [list(row) for row in zip(*given.columns.values(), strict=True)]
    if not given.rows:
        return []
    # Rows may name their values each in its own order: the first row's holds for all.
    names = list(given.rows[0])
    faults = [
        Fault(row=number, expected=f"the columns of row 0, {names}", got=f"the columns {list(row)}")
        for number, row in enumerate(given.rows)
        if row.keys() != given.rows[0].keys()
    ]
    if faults:
        raise BadInputError(faults)
    return [[row[name] for name in names] for row in given.rows]
