"""Which cells of a column its family's rule leaves.

The service deletes lazily: a cell outside the rule may still be read for up to a week. Here it is out of sight as soon
as the clock says so, and gone for good at the next write to its row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from cloudmlops.emulators.core.faults import Refused

MAX_RULE_BYTES = 500


def kept(timestamps: Sequence[int], rule: Any, now_micros: int) -> int:
    """Return how many of a column's cells, newest first, a rule leaves.

    Age and number both take the oldest first, so that every combination of rules leaves a beginning of the column.

    Args:
        timestamps: In microseconds, descending.
        rule: A `GcRule`.
        now_micros: Microseconds since the epoch.
    """
    match rule.WhichOneof("rule"):
        case "max_num_versions":
            return min(len(timestamps), int(rule.max_num_versions))
        case "max_age":
            oldest = now_micros - rule.max_age.ToMicroseconds()
            return bisect_right(timestamps, -oldest, key=lambda timestamp: -timestamp)
        case "union":
            return min(kept(timestamps, part, now_micros) for part in rule.union.rules)
        case "intersection":
            return max(kept(timestamps, part, now_micros) for part in rule.intersection.rules)
        case _:
            return len(timestamps)


def check_rule(rule: Any) -> None:
    """Refuse a rule that the service does not take."""
    if rule.ByteSize() > MAX_RULE_BYTES:
        raise Refused("INVALID_ARGUMENT", f"GcRule is larger than {MAX_RULE_BYTES} bytes")
    _check(rule)


def _check(rule: Any) -> None:
    match rule.WhichOneof("rule"):
        case "max_num_versions" if rule.max_num_versions < 1:
            raise Refused("INVALID_ARGUMENT", f"max_num_versions must be at least 1, but was {rule.max_num_versions}")
        case "max_age" if rule.max_age.ToMicroseconds() < 1000:
            raise Refused("INVALID_ARGUMENT", "max_age must be at least one millisecond")
        case "union" | "intersection" as kind:
            parts = getattr(rule, kind).rules
            if not parts:
                raise Refused("INVALID_ARGUMENT", f"{kind} must contain at least one GcRule")
            for part in parts:
                _check(part)
        case _:
            pass
