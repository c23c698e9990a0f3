"""Row filters: a tree is checked and made into a function once, then applied to each row."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigtable import re2
from cloudmlops.emulators.google.bigtable.mutations import check_timestamp
from cloudmlops.emulators.google.bigtable.ranges import within
from cloudmlops.emulators.google.bigtable.rows import Cell, place

MAX_BYTES: Final = 20480
MAX_DEPTH: Final = 20
_LABEL: Final = re.compile(r"[a-z0-9\-]{1,15}")
_CHANCE: Final = random.Random()  # noqa: S311 a sample is no secret
"""Our own: a program that seeds the common one gets its numbers, whatever is asked here beside it."""

Accept = Callable[[bytes, list[Cell]], list[Cell]]
"""Takes a row's key and cells, returns what is left of them."""
_Step = Callable[[bytes, list[Cell], list[Cell]], list[Cell]]
"""Likewise, and puts what is to reach the answer whatever follows into its third argument."""


def compiled(row_filter: Any) -> Accept:
    """Make the function of a `RowFilter`, or refuse it."""
    if row_filter.ByteSize() > MAX_BYTES:
        raise Refused("INVALID_ARGUMENT", f"Error in field 'filter' : larger than {MAX_BYTES} bytes")
    step = _step(row_filter, 1, may_sink=True)

    def accept(key: bytes, cells: list[Cell]) -> list[Cell]:
        sunk: list[Cell] = []
        passed = step(key, cells, sunk)
        return sorted([*passed, *sunk], key=place) if sunk else passed

    return accept


def _step(row_filter: Any, depth: int, *, may_sink: bool) -> _Step:
    if depth > MAX_DEPTH:
        raise Refused("INVALID_ARGUMENT", f"Error in field 'filter' : nested deeper than {MAX_DEPTH}")
    match row_filter.WhichOneof("filter"):
        case "chain":
            return _chain(row_filter.chain, depth, may_sink=may_sink)
        case "interleave":
            return _interleave(row_filter.interleave, depth, may_sink=may_sink)
        case "condition":
            return _condition(row_filter.condition, depth)
        case "sink":
            _check_true(row_filter, "sink")
            if not may_sink:
                raise Refused("INVALID_ARGUMENT", "Error in field 'sink' : cannot be used within a condition")
            return _sink
        case None | "pass_all_filter" as kind:
            if kind:
                _check_true(row_filter, kind)
            return lambda _key, cells, _sunk: cells
        case "block_all_filter" as kind:
            _check_true(row_filter, kind)
            return lambda _key, _cells, _sunk: []
        case "row_key_regex_filter" as kind:
            if not row_filter.row_key_regex_filter:
                raise Refused("INVALID_ARGUMENT", f"Error in field '{kind}' : argument must not be empty")
            matches = _regex(row_filter, kind)
            return lambda key, cells, _sunk: cells if matches(key) else []
        case "row_sample_filter":
            return _sample(row_filter.row_sample_filter)
        case "cells_per_row_offset_filter" as kind:
            number = _number(row_filter, kind)
            return lambda _key, cells, _sunk: cells[number:]
        case "cells_per_row_limit_filter" as kind:
            number = _number(row_filter, kind)
            return lambda _key, cells, _sunk: cells[:number]
        case "cells_per_column_limit_filter" as kind:
            return _column_limit(_number(row_filter, kind))
        case "strip_value_transformer" as kind:
            _check_true(row_filter, kind)
            return lambda _key, cells, _sunk: [cell._replace(value=b"") for cell in cells]
        case "apply_label_transformer":
            return _label(row_filter.apply_label_transformer)
        case kind:
            test = _test(row_filter, kind)
            return lambda _key, cells, _sunk: [cell for cell in cells if test(cell)]


def _test(row_filter: Any, kind: str) -> Callable[[Cell], bool]:
    """Return the test of a filter that looks at one cell at a time."""
    match kind:
        case "family_name_regex_filter":
            if ":" in row_filter.family_name_regex_filter:
                raise Refused("INVALID_ARGUMENT", f"Error in field '{kind}' : must not contain ':'")
            matches = _regex(row_filter, kind)
            return lambda cell: matches(cell.family.encode())
        case "column_qualifier_regex_filter":
            matches = _regex(row_filter, kind)
            return lambda cell: matches(cell.qualifier)
        case "value_regex_filter":
            matches = _regex(row_filter, kind)
            return lambda cell: matches(cell.value)
        case "column_range_filter":
            family = row_filter.column_range_filter.family_name
            inside = within(row_filter.column_range_filter, "qualifier")
            return lambda cell: cell.family == family and inside(cell.qualifier)
        case "value_range_filter":
            inside = within(row_filter.value_range_filter, "value")
            return lambda cell: inside(cell.value)
        case "timestamp_range_filter":
            start = row_filter.timestamp_range_filter.start_timestamp_micros
            end = row_filter.timestamp_range_filter.end_timestamp_micros
            check_timestamp(start, f"Error in field '{kind}' : ")
            check_timestamp(end, f"Error in field '{kind}' : ")
            return lambda cell: start <= cell.timestamp and (not end or cell.timestamp < end)
        case "value_bitmask_filter":
            bits = row_filter.value_bitmask_filter.mask
            mask = int.from_bytes(bits, "big")
            return lambda cell: len(cell.value) == len(bits) and int.from_bytes(cell.value, "big") & mask == mask
        case _:
            raise Refused("UNIMPLEMENTED", f"RowFilter.{kind} is not emulated")


def _chain(chain: Any, depth: int, *, may_sink: bool) -> _Step:
    if len(chain.filters) < 2:
        raise Refused("INVALID_ARGUMENT", "Error in field 'chain' : Chain must contain at least two RowFilters")
    if sum(map(_labels, chain.filters)) > 1:
        raise Refused(
            "INVALID_ARGUMENT",
            "Error in field 'chain' : no more than one sub-filter of a Chain may contain apply_label_transformer",
        )
    steps = [_step(each, depth + 1, may_sink=may_sink) for each in chain.filters]

    def apply(key: bytes, cells: list[Cell], sunk: list[Cell]) -> list[Cell]:
        for step in steps:
            if not cells:
                break
            cells = step(key, cells, sunk)
        return cells

    return apply


def _labels(row_filter: Any) -> bool:
    """Whether a filter applies a label somewhere."""
    match row_filter.WhichOneof("filter"):
        case "apply_label_transformer":
            return True
        case "chain" | "interleave" as kind:
            return any(map(_labels, getattr(row_filter, kind).filters))
        case "condition":
            return _labels(row_filter.condition.true_filter) or _labels(row_filter.condition.false_filter)
        case _:
            return False


def _interleave(interleave: Any, depth: int, *, may_sink: bool) -> _Step:
    if len(interleave.filters) < 2:
        raise Refused(
            "INVALID_ARGUMENT", "Error in field 'interleave' : Interleave must contain at least two RowFilters"
        )
    steps = [_step(each, depth + 1, may_sink=may_sink) for each in interleave.filters]

    def apply(key: bytes, cells: list[Cell], sunk: list[Cell]) -> list[Cell]:
        return sorted((cell for step in steps for cell in step(key, cells, sunk)), key=place)

    return apply


def _condition(condition: Any, depth: int) -> _Step:
    if not condition.HasField("predicate_filter"):
        raise Refused("INVALID_ARGUMENT", "Error in field 'condition' : predicate_filter must be set")
    predicate = _step(condition.predicate_filter, depth + 1, may_sink=False)
    branches = {
        matched: _step(getattr(condition, field), depth + 1, may_sink=False)
        for matched, field in ((True, "true_filter"), (False, "false_filter"))
        if condition.HasField(field)
    }

    def apply(key: bytes, cells: list[Cell], sunk: list[Cell]) -> list[Cell]:
        branch = branches.get(bool(predicate(key, cells, sunk)))
        return branch(key, cells, sunk) if branch else []

    return apply


def _sink(_key: bytes, cells: list[Cell], sunk: list[Cell]) -> list[Cell]:
    sunk.extend(cells)
    return []


def _sample(share: float) -> _Step:
    if not 0 < share < 1:
        raise Refused("INVALID_ARGUMENT", "Error in field 'row_sample_filter' : must be between 0.0 and 1.0")
    return lambda _key, cells, _sunk: cells if _CHANCE.random() < share else []


def _column_limit(number: int) -> _Step:
    def apply(_key: bytes, cells: list[Cell], _sunk: list[Cell]) -> list[Cell]:
        return [
            cell
            for _, column in groupby(cells, key=lambda cell: (cell.family, cell.qualifier))
            for cell in list(column)[:number]
        ]

    return apply


def _label(label: str) -> _Step:
    if not _LABEL.fullmatch(label):
        raise Refused(
            "INVALID_ARGUMENT",
            f"Error in field 'apply_label_transformer' : must match RE2([a-z0-9\\-]{{1,15}}), but found '{label}'",
        )
    return lambda _key, cells, _sunk: [cell._replace(labels=(label,)) for cell in cells]


def _regex(row_filter: Any, kind: str) -> Callable[[bytes], bool]:
    pattern = getattr(row_filter, kind)
    try:
        return re2.full_match(pattern.encode() if isinstance(pattern, str) else pattern)
    except re2.SyntaxRefused as error:
        raise Refused("INVALID_ARGUMENT", f"Error in field '{kind}' : {error}") from None


def _number(row_filter: Any, kind: str) -> int:
    number: int = getattr(row_filter, kind)
    least = 0 if kind == "cells_per_row_offset_filter" else 1
    if number < least:
        raise Refused("INVALID_ARGUMENT", f"Error in field '{kind}' : argument must be > {least - 1}")
    return number


def _check_true(row_filter: Any, kind: str) -> None:
    if not getattr(row_filter, kind):
        raise Refused("INVALID_ARGUMENT", f"Error in field '{kind}' : must be true if set")
