"""Rows as the chunks of `ReadRowsResponse`.

The key comes with a row's first chunk, a family and a qualifier where they change, a long value in several chunks that
give its whole size but for the last, and the commit with a row's last chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.cloud.bigtable_v2 import types

from cloudmlops.emulators.google.bigtable.rows import Cell

_Response = types.ReadRowsResponse.pb()

VALUE_BYTES: Final = 1 << 20
"""The longest part of a value in one chunk."""
RESPONSE_BYTES: Final = 1 << 20
"""A response is sent as soon as it holds as much."""
RESPONSE_CHUNKS: Final = 1024


def responses(found: Iterable[tuple[bytes, list[Cell]]]) -> Iterator[Any]:
    """Put rows, each with one cell at least, into responses."""
    response, size = _Response(), 0
    for key, row in found:
        family, qualifier = None, None
        for index, cell in enumerate(row):
            chunk = response.chunks.add(timestamp_micros=cell.timestamp, labels=cell.labels)
            if index == 0:
                chunk.row_key = key
            if cell.family != family:
                chunk.family_name.value = family = cell.family
                qualifier = None
            if cell.qualifier != qualifier:
                chunk.qualifier.value = qualifier = cell.qualifier
            value = cell.value
            while len(value) > VALUE_BYTES:
                chunk.value, chunk.value_size = value[:VALUE_BYTES], len(cell.value)
                value = value[VALUE_BYTES:]
                yield response
                response, size = _Response(), 0
                chunk = response.chunks.add()
            chunk.value = value
            size += len(value)
            if index == len(row) - 1:
                chunk.commit_row = True
            if size >= RESPONSE_BYTES or len(response.chunks) >= RESPONSE_CHUNKS:
                yield response
                response, size = _Response(), 0
    if response.chunks:
        yield response
