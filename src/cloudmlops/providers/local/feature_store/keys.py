"""Key tuples as small integers, so that rows of the same key can be found without comparing tuples."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Codes = np.ndarray[Any, np.dtype[np.int32]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

NOBODY: Final = -1
"""The code of a key that is not wanted, or has a null part."""

_DENSE: Final = 4
"""Integers are looked up in an array when it needs at most so many places a row."""


def key_codes(wanted: Sequence[pa.ChunkedArray], given: Sequence[pa.ChunkedArray]) -> tuple[Codes, Codes, int]:
    """Number the distinct keys in `wanted` from 0, and say which of them each row has.

    Args:
        wanted: The key columns of the rows that ask; the k columns are one tuple.
        given: The key columns of the rows that may answer, of the same types.

    Returns:
        The codes of the rows of `wanted` and of `given`, `NOBODY` where a part is null or the tuple is not wanted; and
        the number of codes.
    """
    asked, answered, count = _column_codes(wanted[0], given[0])
    for more_wanted, more_given in zip(wanted[1:], given[1:], strict=True):
        next_asked, next_answered, next_count = _column_codes(more_wanted, more_given)
        asked, answered, count = _column_codes(
            _chunked(_paired(asked, next_asked, next_count)), _chunked(_paired(answered, next_answered, next_count))
        )
    return asked, answered, count


def _paired(first: Codes, second: Codes, count: int) -> pa.Array:
    paired = first.astype(np.int64) * count + second
    nobody = (first == NOBODY) | (second == NOBODY)
    return pa.array(paired, mask=nobody if nobody.any() else None)


def _chunked(array: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([array])


def _column_codes(wanted: pa.ChunkedArray, given: pa.ChunkedArray) -> tuple[Codes, Codes, int]:
    if pa.types.is_boolean(wanted.type):
        wanted, given = wanted.cast(pa.int8()), given.cast(pa.int8())
    if pa.types.is_date32(wanted.type):
        wanted, given = wanted.cast(pa.int32()), given.cast(pa.int32())
    if pa.types.is_integer(wanted.type):
        bounds = pc.min_max(wanted)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        if low is not None and high - low < _DENSE * (len(wanted) + len(given)) + 1024:
            return _array_codes(wanted, given, low, high - low + 1)
    return _hashed_codes(wanted, given)


def _array_codes(wanted: pa.ChunkedArray, given: pa.ChunkedArray, low: int, span: int) -> tuple[Codes, Codes, int]:
    present = np.zeros(span + 1, bool)
    for chunk in wanted.chunks:
        present[_places(chunk, low, span)] = True
    present[span] = False  # where all the others are sent
    codes = np.where(present, np.cumsum(present) - 1, NOBODY).astype(np.int32)
    return _looked_up(wanted, codes, low, span), _looked_up(given, codes, low, span), int(present.sum())


def _places(chunk: pa.Array, low: int, span: int) -> Integers:
    values = (pc.fill_null(chunk, 0) if chunk.null_count else chunk).to_numpy(zero_copy_only=False)
    # Wrapping subtraction, read as unsigned: whatever lies below `low` or far above becomes large, and so is nobody.
    places = np.minimum((values.astype(np.int64, copy=False) - np.int64(low)).view(np.uint64), np.uint64(span))
    if chunk.null_count:
        places[chunk.is_null().to_numpy(zero_copy_only=False)] = span
    found: Integers = places.view(np.int64)
    return found


def _looked_up(column: pa.ChunkedArray, codes: Codes, low: int, span: int) -> Codes:
    out = np.empty(len(column), np.int32)
    start = 0
    for chunk in column.chunks:
        np.take(codes, _places(chunk, low, span), out=out[start : start + len(chunk)], mode="clip")
        start += len(chunk)
    return out


def _hashed_codes(wanted: pa.ChunkedArray, given: pa.ChunkedArray) -> tuple[Codes, Codes, int]:
    distinct = pc.unique(wanted).drop_null()

    def codes(chunk: pa.Array) -> Codes:
        found: Codes = pc.fill_null(pc.index_in(chunk, distinct), NOBODY).to_numpy(zero_copy_only=False)
        return found

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(codes, [*wanted.chunks, *given.chunks]))
    empty = np.empty(0, np.int32)
    cut = wanted.num_chunks
    return np.concatenate([empty, *parts[:cut]]), np.concatenate([empty, *parts[cut:]]), len(distinct)
