"""What rows are compared by, as bytes that sort like it: rule 3 for a store that knows bytes alone.

A rank is a row's time and created time as `packed_rows` packs them, then its scalar features in order. Each begins
with a byte that says null, a value, or NaN; numbers follow as unsigned integers that sort alike, of a fixed width;
texts and bytes as they are, zeros escaped, with two zeros at their end. So no rank begins another one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any, Final

from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, to_microseconds
from cloudmlops.providers.packed_rows import HEADER_BYTES, day_number

_NULL: Final = b"\0"
_VALUE: Final = b"\1"
_NAN: Final = b"\2"
_BIAS: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
_NUMBER: Final = struct.Struct(">cQ")
_DOUBLE: Final = struct.Struct(">d")
_NO_NUMBER: Final = _NUMBER.pack(_NULL, 0)
_NOT_A_NUMBER: Final = _NUMBER.pack(_NAN, 0)
_NUMBERS: Final = frozenset({"int", "float", "bool", "date", "datetime"})


class RowRanks:
    """How the rows of one view are ranked."""

    def __init__(self, view: FeatureView) -> None:
        kinds = [type_name(kind) or "" for kind in view.features.values()]
        self._scalars = [(place, kind) for place, kind in enumerate(kinds) if not kind.startswith("list[")]
        self._numbers = [(place, kind) for place, kind in self._scalars if kind in _NUMBERS]
        self._lists = [place for place, kind in enumerate(kinds) if kind.startswith("list[")]
        # With `last_value`, of rows that rank alike one may have a list that another lacks: both are kept.
        self._tells_lists = view.nulls == "last_value" and bool(self._lists)

    def rank(self, row: FeatureRow, packed: bytes) -> bytes:
        """Return a row's rank.

        Args:
            row: It.
            packed: The same, packed.
        """
        ranked = b"".join(_RANKED[kind](row.values[place]) for place, kind in self._scalars)
        return packed[:HEADER_BYTES] + ranked + self._lists_of([row.values[place] for place in self._lists])

    def rank_columns(self, columns: Sequence[Any], packed: Sequence[bytes]) -> list[bytes]:
        """Return the ranks of n rows.

        Args:
            columns: The features, as Arrow arrays of n values in their declared types.
            packed: The n rows, packed.
        """
        numbers = self._ranked_numbers(columns, len(packed)) if self._numbers else {}
        parts: list[Sequence[bytes]] = [[one[:HEADER_BYTES] for one in packed]]
        for place, kind in self._scalars:
            if place in numbers:
                parts.append(numbers[place])
            else:
                ranked = _RANKED[kind]
                parts.append([ranked(value) for value in columns[place].to_pylist()])
        if self._tells_lists:
            known = [columns[place].is_valid().to_pylist() for place in self._lists]
            parts.append([bytes(row) for row in zip(*known, strict=True)])
        return [b"".join(row) for row in zip(*parts, strict=True)]

    def _lists_of(self, values: Sequence[Any]) -> bytes:
        return bytes(value is not None for value in values) if self._tells_lists else b""

    @cached_property
    def _numpy_type(self) -> Any:
        import numpy as np

        return np.dtype([("tag", "u1"), ("number", ">u8")])

    def _ranked_numbers(self, columns: Sequence[Any], count: int) -> dict[int, Sequence[bytes]]:
        import numpy as np

        found: dict[int, Sequence[bytes]] = {}
        for place, kind in self._numbers:
            column = columns[place]
            ranked = np.zeros(count, self._numpy_type)
            ranked["tag"] = 1
            if kind == "float":
                values = (column.fill_null(0.0) if column.null_count else column).to_numpy(zero_copy_only=False)
                bits = (values + 0.0).view(np.uint64)  # adding it makes 0.0 of -0.0
                negative = bits >> np.uint64(63) == 1
                ranked["number"] = np.where(negative, ~bits, bits | np.uint64(_BIAS))
                strange = np.isnan(values)
                ranked["tag"][strange] = 2
                ranked["number"][strange] = 0
            else:
                if kind in ("date", "datetime"):
                    column = column.cast("int32" if kind == "date" else "int64")
                values = (column.fill_null(False if kind == "bool" else 0) if column.null_count else column).to_numpy(
                    zero_copy_only=False
                )
                ranked["number"] = values.astype(np.int64).view(np.uint64) + np.uint64(_BIAS)
            if column.null_count:
                nothing = column.is_null().to_numpy(zero_copy_only=False).astype(np.bool_)
                ranked["tag"][nothing] = 0
                ranked["number"][nothing] = 0
            found[place] = ranked.view(f"V{ranked.dtype.itemsize}").tolist()
        return found


def _integer(value: Any) -> bytes:
    return _NO_NUMBER if value is None else _NUMBER.pack(_VALUE, value + _BIAS)


def _float(value: float | None) -> bytes:
    if value is None:
        return _NO_NUMBER
    if math.isnan(value):
        return _NOT_A_NUMBER
    bits = int.from_bytes(_DOUBLE.pack(value + 0.0))  # adding it makes 0.0 of -0.0
    return _NUMBER.pack(_VALUE, ~bits & _ALL if bits & _BIAS else bits | _BIAS)


def _date(value: date | None) -> bytes:
    return _integer(None if value is None else day_number(value))


def _datetime(value: datetime | None) -> bytes:
    return _integer(None if value is None else to_microseconds(value))


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else _VALUE + value.replace(b"\0", b"\0\xff") + b"\0\0"


def _str(value: str | None) -> bytes:
    return _bytes(None if value is None else value.encode())


_RANKED: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "int": _integer,
    "bool": _integer,
    "float": _float,
    "date": _date,
    "datetime": _datetime,
    "bytes": _bytes,
    "str": _str,
}
