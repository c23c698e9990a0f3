"""Feature rows as bytes: one packed record a row, so that reading ten features is one look-up and one unpack.

A record is big-endian: time and created time as unsigned integers whose bytes sort like the times (created null is 0),
a bit a feature that says whether it is null, the features of fixed width, then the others, each with its length.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, to_datetime, to_microseconds

HEADER_BYTES: Final = 16
"""Time and created time: the greater in these bytes is the newer row."""

_BIAS: Final = 1 << 63
_DAY_0: Final = date(1970, 1, 1)
_FIXED: Final = {"int": "q", "float": "d", "bool": "?", "date": "i", "datetime": "q"}
_LENGTH: Final = struct.Struct(">I")


class RowPacking:
    """How the rows of one view become bytes and back."""

    def __init__(self, view: FeatureView) -> None:
        self._kinds = [type_name(kind) or "" for kind in view.features.values()]
        self._fixed = [place for place, kind in enumerate(self._kinds) if kind in _FIXED]
        self._varied = [place for place, kind in enumerate(self._kinds) if kind not in _FIXED]
        self._null_bytes = (len(self._kinds) + 7) // 8
        self._struct = struct.Struct(
            f">QQ{self._null_bytes}s" + "".join(_FIXED[self._kinds[place]] for place in self._fixed)
        )
        self._decoders = [(place, _DECODERS[kind]) for place, kind in enumerate(self._kinds) if kind in _DECODERS]
        self._no_nulls = bytes(self._null_bytes)

    def unpack(self, data: bytes) -> list[FeatureRow]:
        """Return the rows that `data` holds, in its order."""
        size = self._struct.size
        if not self._varied and len(data) == size:
            return [self._row(*self._struct.unpack(data), varied=())]
        rows, start = [], 0
        while start < len(data):
            ts, created, nulls, *fixed = self._struct.unpack_from(data, start)
            start += size
            varied = []
            for _ in self._varied:
                (length,) = _LENGTH.unpack_from(data, start)
                start += _LENGTH.size + length
                varied.append(data[start - length : start])
            rows.append(self._row(ts, created, nulls, *fixed, varied=varied))
        return rows

    def pack(self, rows: Iterable[FeatureRow]) -> bytes:
        """Return rows as bytes."""
        return b"".join(self._packed(row) for row in rows)

    def pack_columns(self, times: Any, created: Any, columns: Sequence[Any]) -> list[bytes]:
        """Return each of n rows as bytes.

        Args:
            times: (n,) Arrow timestamps in microseconds, without nulls.
            created: Likewise, with nulls; None when the view has no created times.
            columns: The features, in their declared types.
        """
        import numpy as np

        records = np.zeros(len(times), self._numpy_type)
        records["ts"] = _biased(np, times)
        if created is not None:
            records["created"] = np.where(_null(np, created), np.uint64(0), _biased(np, created.fill_null(0)))
        if any(column.null_count for column in columns):
            null = np.stack([_null(np, column) for column in columns], axis=1)
            records["nulls"] = np.packbits(null, axis=1, bitorder="little")
        for place in self._fixed:
            column = columns[place]
            if self._kinds[place] in ("date", "datetime"):
                column = column.cast("int32" if self._kinds[place] == "date" else "int64")
            empty: object = False if self._kinds[place] == "bool" else 0
            values = column.fill_null(empty) if column.null_count else column
            records[f"f{place}"] = values.to_numpy(zero_copy_only=False)
        packed: list[bytes] = records.view(f"V{records.dtype.itemsize}").tolist()
        if not self._varied:
            return packed
        encoded = [
            [_measured(_encoded(self._kinds[place], value)) for value in columns[place].to_pylist()]
            for place in self._varied
        ]
        return [b"".join(parts) for parts in zip(packed, *encoded, strict=True)]

    @cached_property
    def _numpy_type(self) -> Any:
        import numpy as np

        kinds = {"q": ">i8", "d": ">f8", "?": "?", "i": ">i4"}
        fields: list[tuple[Any, ...]] = [("ts", ">u8"), ("created", ">u8"), ("nulls", "u1", (self._null_bytes,))]
        fields += [(f"f{place}", kinds[_FIXED[self._kinds[place]]]) for place in self._fixed]
        return np.dtype(fields)

    def _row(self, ts: int, created: int, nulls: bytes, *fixed: Any, varied: Sequence[bytes]) -> FeatureRow:
        values: Sequence[Any] = fixed
        if varied:
            values = list(_woven(len(self._kinds), self._fixed, fixed, self._varied, varied))
        if self._decoders or nulls != self._no_nulls:
            values = list(values)
            bits = int.from_bytes(nulls, "little")
            for place, decode in self._decoders:
                if not bits >> place & 1:
                    values[place] = decode(values[place])
            if bits:
                values = [None if bits >> place & 1 else value for place, value in enumerate(values)]
        return FeatureRow(ts - _BIAS, created - _BIAS if created else None, tuple(values))

    def _packed(self, row: FeatureRow) -> bytes:
        bits = sum(1 << place for place, value in enumerate(row.values) if value is None)
        fixed = [_number(row.values[place]) for place in self._fixed]
        created = 0 if row.created is None else row.created + _BIAS
        head = self._struct.pack(row.ts + _BIAS, created, bits.to_bytes(self._null_bytes, "little"), *fixed)
        return head + b"".join(_measured(_encoded(self._kinds[place], row.values[place])) for place in self._varied)


def day_number(day: date) -> int:
    """Return a date as days since 1970."""
    return (day - _DAY_0).days


def _date(days: int) -> date:
    return _DAY_0 + timedelta(days=days)


def _list_decoder(item: str) -> Callable[[bytes], list[Any]]:
    decoders: Mapping[str, Callable[[Any], Any]] = {"bytes": bytes.fromhex, "date": _date, "datetime": to_datetime}
    decode = decoders.get(item)

    def decoded(data: bytes) -> list[Any]:
        values = json.loads(data)
        return values if decode is None else [None if value is None else decode(value) for value in values]

    return decoded


_DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "date": _date,
    "datetime": to_datetime,
    "str": lambda data: str(data, "utf-8"),
    **{f"list[{item}]": _list_decoder(item) for item in (*_FIXED, "str", "bytes")},
}


def _number(value: Any) -> Any:
    match value:
        case None:
            return 0
        case datetime():
            return to_microseconds(value)
        case date():
            return day_number(value)
        case _:
            return value


def _encoded(kind: str, value: Any) -> bytes:
    if value is None:
        return b""
    if kind == "str":
        return bytes(value, "utf-8")
    if kind == "bytes":
        return bytes(value)
    items = [item.hex() if isinstance(item, bytes) else None if item is None else _number(item) for item in value]
    return json.dumps(items, separators=(",", ":")).encode()


def _measured(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _woven(
    count: int, first_places: Sequence[int], first: Sequence[Any], second_places: Sequence[int], second: Sequence[Any]
) -> Iterator[Any]:
    of = dict(zip(first_places, first, strict=True)) | dict(zip(second_places, second, strict=True))
    return (of[place] for place in range(count))


def _biased(np: Any, times: Any) -> Any:
    return times.cast("int64").to_numpy(zero_copy_only=False).astype(np.uint64) + np.uint64(_BIAS)


def _null(np: Any, column: Any) -> Any:
    return column.is_null().to_numpy(zero_copy_only=False).astype(np.bool_, copy=False)
