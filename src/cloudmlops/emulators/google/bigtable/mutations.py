"""What changes a row: mutations, and rules that read before they write."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigtable.aggregates import accumulated, aggregate_of
from cloudmlops.emulators.google.bigtable.rows import Cell, Row, put
from cloudmlops.emulators.google.bigtable.tables import Table

MAX_KEY_BYTES: Final = 4096
MAX_QUALIFIER_BYTES: Final = 16384
MAX_VALUE_BYTES: Final = 100 << 20
MAX_MUTATIONS: Final = 100_000
_MILLISECOND: Final = 1000


def check_key(key: bytes) -> None:
    """Refuse what no row can have for a key."""
    if not key:
        raise Refused("INVALID_ARGUMENT", "Row keys must be non-empty")
    if len(key) > MAX_KEY_BYTES:
        raise Refused("INVALID_ARGUMENT", f"Row key is {len(key)} bytes long; at most {MAX_KEY_BYTES} are allowed")


def check_number(mutations: int, field: str = "mutations") -> None:
    """Refuse none and too many."""
    if not mutations:
        raise Refused("INVALID_ARGUMENT", f"No {field} provided")
    if mutations > MAX_MUTATIONS:
        raise Refused("INVALID_ARGUMENT", f"Too many {field}: {mutations}; at most {MAX_MUTATIONS} are allowed")


def mutate(table: Table, key: bytes, row: Row, mutations: Iterable[Any], now_micros: int) -> None:
    """Apply mutations to a copy of a row; whoever is refused throws the copy away."""
    for index, mutation in enumerate(mutations):
        try:
            _mutate(table, row, mutation, now_micros)
        except Refused as refused:
            if refused.code == "INVALID_ARGUMENT":
                refused = Refused(
                    refused.code, f"Error in Mutation list : Error in element #{index} : {refused.message}"
                )
            elif refused.code == "NOT_FOUND":
                refused = Refused(
                    refused.code,
                    f"Error while mutating the row '{key.decode('latin-1')}' ({table.name}) : {refused.message}",
                )
            raise refused from None


def _mutate(table: Table, row: Row, mutation: Any, now_micros: int) -> None:
    match mutation.WhichOneof("mutation"):
        case "set_cell":
            _set_cell(table, row, mutation.set_cell, now_micros)
        case "delete_from_column":
            _delete_from_column(table, row, mutation.delete_from_column)
        case "delete_from_family":
            table.family(mutation.delete_from_family.family_name)
            row.pop(mutation.delete_from_family.family_name, None)
        case "delete_from_row":
            row.clear()
        case None:
            raise Refused("INVALID_ARGUMENT", "No mutation is set")
        case "add_to_cell" | "merge_to_cell" as kind:
            _accumulate(table, row, kind, getattr(mutation, kind))
        case other:
            raise Refused("UNIMPLEMENTED", f"Mutation.{other} is not emulated")


def _set_cell(table: Table, row: Row, set_cell: Any, now_micros: int) -> None:
    order, definition = table.family(set_cell.family_name)
    if aggregate_of(definition) is not None:
        raise Refused("INVALID_ARGUMENT", f"{set_cell.family_name} is an aggregate family: its cells cannot be set")
    _check_size(set_cell.column_qualifier, set_cell.value)
    timestamp = set_cell.timestamp_micros
    if timestamp == -1:
        timestamp = now_micros - now_micros % _MILLISECOND
    check_timestamp(timestamp)
    put(row, Cell(order, set_cell.family_name, set_cell.column_qualifier, timestamp, set_cell.value))


def _accumulate(table: Table, row: Row, kind: str, mutation: Any) -> None:
    name, qualifier = mutation.family_name, mutation.column_qualifier.raw_value
    order, definition = table.family(name)
    aggregate = aggregate_of(definition)
    if aggregate is None:
        raise Refused("INVALID_ARGUMENT", f"{name} is not an aggregate family: {kind} cannot change it")
    if mutation.timestamp.WhichOneof("kind") != "raw_timestamp_micros":
        raise Refused("INVALID_ARGUMENT", "timestamp must be a raw_timestamp_micros")
    timestamp = mutation.timestamp.raw_timestamp_micros
    check_timestamp(timestamp)
    taken = {"int_value"} if kind == "add_to_cell" else {"raw_value", None}
    if (given := mutation.input.WhichOneof("kind")) not in taken:
        raise Refused("INVALID_ARGUMENT", f"input of {kind} cannot be of the kind {given}")
    before = dict(row.get(name, {}).get(qualifier, ())).get(timestamp)
    value = accumulated(aggregate, before, mutation.input)
    if value is not None:
        _check_size(qualifier, value)
        put(row, Cell(order, name, qualifier, timestamp, value))


def _delete_from_column(table: Table, row: Row, delete: Any) -> None:
    table.family(delete.family_name)
    start, end = delete.time_range.start_timestamp_micros, delete.time_range.end_timestamp_micros
    check_timestamp(start)
    check_timestamp(end)
    if end and start >= end:
        raise Refused("INVALID_ARGUMENT", f"Inverted or empty timestamp range [{start}, {end})")
    columns = row.get(delete.family_name, {})
    versions = columns.get(delete.column_qualifier, [])
    newest = bisect_right(versions, -end, key=lambda version: -version[0]) if end else 0
    oldest = bisect_right(versions, -start, key=lambda version: -version[0])
    del versions[newest:oldest]
    if not versions:
        columns.pop(delete.column_qualifier, None)
    if not columns:
        row.pop(delete.family_name, None)


def check_timestamp(micros: int, where: str = "") -> None:
    """Refuse what is no time of a cell: all tables keep milliseconds."""
    if micros < 0:
        raise Refused("INVALID_ARGUMENT", f"{where}Timestamps must be at least 0, but got {micros}")
    if micros % _MILLISECOND:
        raise Refused(
            "INVALID_ARGUMENT",
            f"{where}Timestamp granularity mismatch. "
            f"Expected a multiple of {_MILLISECOND} (millisecond granularity), but got {micros}.",
        )


def _check_size(qualifier: bytes, value: bytes) -> None:
    if len(qualifier) > MAX_QUALIFIER_BYTES:
        raise Refused(
            "INVALID_ARGUMENT",
            f"Column qualifier is {len(qualifier)} bytes long; at most {MAX_QUALIFIER_BYTES} are allowed",
        )
    if len(value) > MAX_VALUE_BYTES:
        raise Refused("INVALID_ARGUMENT", f"Value is {len(value)} bytes long; at most {MAX_VALUE_BYTES} are allowed")


def read_modify_write(table: Table, row: Row, rules: Iterable[Any], now_micros: int) -> list[Cell]:
    """Apply `ReadModifyWriteRule`s to a copy of a row.

    Each writes to the present, or over a cell that lies in the future. Sums wrap round at 64 bits.

    Returns:
        The newest cell of every column that was written, in the order of the row.
    """
    written: dict[tuple[str, bytes], Cell] = {}
    for rule in rules:
        order, definition = table.family(rule.family_name)
        if aggregate_of(definition) is not None:
            raise Refused("INVALID_ARGUMENT", f"{rule.family_name} is an aggregate family: add to its cells instead")
        versions = row.get(rule.family_name, {}).get(rule.column_qualifier, [])
        before = versions[0][1] if versions else b""
        match rule.WhichOneof("rule"):
            case "append_value":
                value = before + rule.append_value
            case "increment_amount":
                value = _incremented(rule, before if versions else bytes(8))
            case _:
                raise Refused("INVALID_ARGUMENT", "No rule is set")
        _check_size(rule.column_qualifier, value)
        timestamp = max(now_micros - now_micros % _MILLISECOND, versions[0][0] if versions else 0)
        cell = Cell(order, rule.family_name, rule.column_qualifier, timestamp, value)
        put(row, cell)
        written[rule.family_name, rule.column_qualifier] = cell
    return sorted(written.values())


def _incremented(rule: Any, before: bytes) -> bytes:
    if len(before) != 8:
        raise Refused(
            "FAILED_PRECONDITION",
            f"Cannot increment value '{before.decode('latin-1')}' (family={rule.family_name}, "
            f"qualifier={rule.column_qualifier.decode('latin-1')}). "
            "The increment operation can only be performed on 64-bit values",
        )
    total: int = int.from_bytes(before, "big", signed=True) + rule.increment_amount
    return (total & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
