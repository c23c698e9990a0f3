"""The data API: `google.bigtable.v2.Bigtable`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from google.cloud.bigtable_v2 import types

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigtable import filters, ranges
from cloudmlops.emulators.google.bigtable.chunking import responses
from cloudmlops.emulators.google.bigtable.instances import Instances
from cloudmlops.emulators.google.bigtable.mutations import check_key, check_number, mutate, read_modify_write
from cloudmlops.emulators.google.bigtable.rows import Cell
from cloudmlops.emulators.google.bigtable.rpc import Method
from cloudmlops.emulators.google.bigtable.tables import Table, Tables

_CODES: Final = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "FAILED_PRECONDITION": 9, "UNIMPLEMENTED": 12}
SAMPLE_BYTES: Final = 1 << 20
"""About so much lies between two sampled keys."""


class Data:
    """Reads and writes rows."""

    def __init__(self, tables: Tables, instances: Instances) -> None:
        self._tables = tables
        self._instances = instances

    def methods(self) -> list[Method]:
        """What is answered."""
        return [
            _method("ReadRows", self.read_rows, streams=True),
            _method("SampleRowKeys", self.sample_row_keys, streams=True),
            _method("MutateRow", self.mutate_row),
            _method("MutateRows", self.mutate_rows, streams=True),
            _method("CheckAndMutateRow", self.check_and_mutate_row),
            _method("ReadModifyWriteRow", self.read_modify_write_row),
            _method("PingAndWarm", lambda _: _message("PingAndWarmResponse")()),
        ]

    def read_rows(self, asked: Any) -> Iterator[Any]:
        table = self._table(asked)
        if asked.request_stats_view > 1:
            raise Refused("UNIMPLEMENTED", "ReadRowsRequest.request_stats_view is not emulated: leave it out")
        if asked.rows_limit < 0:
            raise Refused("INVALID_ARGUMENT", "Error in field 'rows_limit' : must be non-negative")
        accept = filters.compiled(asked.filter) if asked.HasField("filter") else None
        with self._tables.lock:
            keys = ranges.keys_of(table.rows, asked.rows)
        if asked.reversed:
            keys.reverse()
        yield from responses(self._found(table, keys, accept, asked.rows_limit))

    def _found(
        self, table: Table, keys: list[bytes], accept: filters.Accept | None, limit: int
    ) -> Iterator[tuple[bytes, list[Cell]]]:
        found = 0
        for key in keys:
            with self._tables.lock:
                cells = self._tables.cells(table, key)
            if accept is not None and cells:
                cells = accept(key, cells)
            if cells:
                yield key, cells
                found += 1
                if found == limit:
                    return

    def sample_row_keys(self, asked: Any) -> Iterator[Any]:
        """Name the table's split keys, one key for about every mebibyte, and its end, which has no key."""
        table = self._table(asked)
        response = _message("SampleRowKeysResponse")
        samples, offset, since = [], 0, 0
        with self._tables.lock:
            splits = list(table.splits)
            for key, row in table.rows.items():
                while splits and splits[0] <= key:
                    samples.append(response(row_key=splits.pop(0), offset_bytes=offset))
                    since = 0
                if since >= SAMPLE_BYTES:
                    samples.append(response(row_key=key, offset_bytes=offset))
                    since = 0
                versions = chain.from_iterable(chain.from_iterable(columns.values() for columns in row.values()))
                size = len(key) + sum(len(value) for _, value in versions)
                offset, since = offset + size, since + size
        samples += [response(row_key=split, offset_bytes=offset) for split in splits]
        samples.append(response(row_key=b"", offset_bytes=offset))
        yield from samples

    def mutate_row(self, asked: Any) -> Any:
        table = self._table(asked)
        self._mutate(table, asked.row_key, asked.mutations)
        return _message("MutateRowResponse")()

    def mutate_rows(self, asked: Any) -> Iterator[Any]:
        """Change each row by itself: what is refused for one is not for the others."""
        table = self._table(asked)
        check_number(sum(len(entry.mutations) for entry in asked.entries))
        response = _message("MutateRowsResponse")()
        with self._tables.together():
            for index, entry in enumerate(asked.entries):
                answer = response.entries.add(index=index)
                answer.status.code = 0
                try:
                    self._mutate(table, entry.row_key, entry.mutations)
                except Refused as refused:
                    answer.status.code, answer.status.message = _CODES[refused.code], refused.message
        yield response

    def check_and_mutate_row(self, asked: Any) -> Any:
        table = self._table(asked, transacts=True)
        check_key(asked.row_key)
        check_number(len(asked.true_mutations) + len(asked.false_mutations))
        accept = filters.compiled(asked.predicate_filter) if asked.HasField("predicate_filter") else None
        with self._tables.lock:
            cells = self._tables.cells(table, asked.row_key)
            matched = bool(cells if accept is None or not cells else accept(asked.row_key, cells))
            mutations = asked.true_mutations if matched else asked.false_mutations
            if mutations:
                self._mutate(table, asked.row_key, mutations)
        return _message("CheckAndMutateRowResponse")(predicate_matched=matched)

    def read_modify_write_row(self, asked: Any) -> Any:
        table = self._table(asked, transacts=True)
        check_key(asked.row_key)
        check_number(len(asked.rules), "rules")
        with self._tables.lock:
            self._tables.check(table)
            row = self._tables.row(table, asked.row_key)
            written = read_modify_write(table, row, asked.rules, self._tables.now_micros())
            self._tables.put(table, asked.row_key, row)
        response = _message("ReadModifyWriteRowResponse")()
        response.row.key = asked.row_key
        for cell in written:
            families = response.row.families
            family = families[-1] if families and families[-1].name == cell.family else families.add(name=cell.family)
            column = family.columns.add(qualifier=cell.qualifier)
            column.cells.add(timestamp_micros=cell.timestamp, value=cell.value)
        return response

    def _mutate(self, table: Table, key: bytes, mutations: Any) -> None:
        check_key(key)
        check_number(len(mutations))
        with self._tables.lock:
            self._tables.check(table)
            row = self._tables.row(table, key)
            mutate(table, key, row, mutations, self._tables.now_micros())
            self._tables.put(table, key, row)

    def _table(self, asked: Any, *, transacts: bool = False) -> Table:
        for view in ("authorized_view_name", "materialized_view_name"):
            if getattr(asked, view, ""):
                raise Refused("UNIMPLEMENTED", f"{asked.DESCRIPTOR.name}.{view} is not emulated: name a table")
        table = self._tables.get(asked.table_name)
        if asked.app_profile_id:
            self._instances.check_profile(table.instance, asked.app_profile_id, transacts=transacts)
        return table


def _message(name: str) -> Any:
    return getattr(types, name).pb()


def _method(name: str, act: Any, *, streams: bool = False) -> Method:
    return Method(
        path=f"/google.bigtable.v2.Bigtable/{name}",
        request=_message(f"{name}Request"),
        response=_message(f"{name}Response"),
        act=act,
        streams=streams,
    )
