"""Families whose cells sum up what is added to them: the sum, the least and the greatest of 64-bit integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_BYTES: Final = 8
_AGGREGATORS: Final[Mapping[str, Callable[[int, int], int]]] = {"sum": int.__add__, "max_": max, "min_": min}


def aggregate_of(family: Any) -> Any:
    """Return the `Aggregate` that a `ColumnFamily` keeps, or None."""
    value_type = family.value_type
    return value_type.aggregate_type if value_type.WhichOneof("kind") == "aggregate_type" else None


def check_aggregate(name: str, family: Any) -> None:
    """Refuse an aggregate that is not emulated, and complete one that is by the type of its state."""
    aggregate = aggregate_of(family)
    if aggregate is None:
        return
    aggregator = aggregate.WhichOneof("aggregator")
    if aggregator is None:
        raise Refused("INVALID_ARGUMENT", f"column family {name}: an aggregate must have an aggregator")
    if aggregator not in _AGGREGATORS:
        raise Refused("UNIMPLEMENTED", f"column family {name}: aggregator {aggregator.rstrip('_')} is not emulated")
    kind = aggregate.input_type.WhichOneof("kind")
    encoding = aggregate.input_type.int64_type.encoding.WhichOneof("encoding")
    if kind != "int64_type" or encoding != "big_endian_bytes":
        raise Refused(
            "UNIMPLEMENTED", f"column family {name}: an aggregate of other than big-endian int64 is not emulated"
        )
    aggregate.state_type.CopyFrom(aggregate.input_type)


def accumulated(aggregate: Any, before: bytes | None, given: Any) -> bytes | None:
    """Return a cell's value with what is added to it, or merged into it; sums wrap round at 64 bits.

    Args:
        aggregate: The family's.
        before: None when there is no cell yet.
        given: A `Value`: an integer, or the bytes of one; without either it changes nothing.
    """
    match given.WhichOneof("kind"):
        case "int_value":
            number: int = given.int_value
        case "raw_value" if len(given.raw_value) == _BYTES:
            number = int.from_bytes(given.raw_value, "big", signed=True)
        case None:
            return before
        case kind:
            raise Refused("INVALID_ARGUMENT", f"input of the kind {kind} does not fit the family's type int64")
    if before is not None:
        aggregator = _AGGREGATORS[aggregate.WhichOneof("aggregator")]
        number = aggregator(int.from_bytes(before, "big", signed=True), number)
    return (number & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(_BYTES, "big")
