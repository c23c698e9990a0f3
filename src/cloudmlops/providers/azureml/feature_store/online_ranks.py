"""What rows are compared by, as bytes that sort like it: rule 3 for a store that knows bytes alone.

A rank is a row's time and created time as `packed_rows` packs them, then its scalar features in order. Each begins
with a byte that says null, a value, or NaN; numbers follow as unsigned integers that sort alike, of a fixed width;
texts and bytes as they are, zeros escaped, with two zeros at their end. So no rank begins another one. With
`last_value` and features that are lists, a byte for each of them follows, which says whether the row has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.providers.packed_rows import HEADER_BYTES

_NULL: Final = 0
_VALUE: Final = 1
_NAN: Final = 2
_BIAS: Final = 1 << 63
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
                ranked = _TEXTS[kind]
                parts.append([ranked(value) for value in columns[place].to_pylist()])
        if self._tells_lists:
            known = [columns[place].is_valid().to_pylist() for place in self._lists]
            parts.append([bytes(row) for row in zip(*known, strict=True)])
        return [b"".join(row) for row in zip(*parts, strict=True)]

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
            ranked["tag"] = _VALUE
            if kind == "float":
                values = (column.fill_null(0.0) if column.null_count else column).to_numpy(zero_copy_only=False)
                bits = (values + 0.0).view(np.uint64)  # adding it makes 0.0 of -0.0
                negative = bits >> np.uint64(63) == 1
                ranked["number"] = np.where(negative, ~bits, bits | np.uint64(_BIAS))
                strange = np.isnan(values)
                ranked["tag"][strange] = _NAN
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
                ranked["tag"][nothing] = _NULL
                ranked["number"][nothing] = 0
            found[place] = ranked.view(f"V{ranked.dtype.itemsize}").tolist()
        return found


def _bytes(value: bytes | None) -> bytes:
    return b"%c" % _NULL if value is None else b"%c%s\0\0" % (_VALUE, value.replace(b"\0", b"\0\xff"))


def _str(value: str | None) -> bytes:
    return _bytes(None if value is None else value.encode())


_TEXTS: Final[Mapping[str, Callable[[Any], bytes]]] = {"bytes": _bytes, "str": _str}
