"""How far what was served lies from what training would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_EXAMPLES: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Skew:
    """The outcome of comparing served features with recomputed ones."""

    rows: int
    """How many served rows were compared."""
    differing: int
    """In how many of them at least one feature differs."""
    features: Mapping[str, float]
    """Feature to the share of rows in which it differs, 0 to 1."""
    examples: Sequence[Mapping[str, Any]] = field(default=())
    """Some differences: the keys, the feature, and what was served and recomputed."""

    @property
    def share(self) -> float:
        """The share of rows in which at least one feature differs, 0 to 1."""
        return self.differing / self.rows if self.rows else 0.0


def compared(served: Any, recomputed: Any, *, columns: Sequence[str], keys: Sequence[str]) -> Skew:
    """Compare two Arrow tables of the same rows, exactly; NaN equals NaN, null equals null.

    Args:
        served: What was served.
        recomputed: What history says.
        columns: The features to compare.
        keys: Columns that name the entity in the examples.
    """
    differs = {name: _differing(served[name].to_pylist(), recomputed[name].to_pylist()) for name in columns}
    rows = served.num_rows
    any_differs = set().union(*differs.values()) if differs else set()
    examples = [
        {
            **{key: served[key][row].as_py() for key in keys},
            "feature": name,
            "served": served[name][row].as_py(),
            "recomputed": recomputed[name][row].as_py(),
        }
        for name, places in differs.items()
        for row in sorted(places)[:_EXAMPLES]
    ]
    return Skew(
        rows=rows,
        differing=len(any_differs),
        features={name: len(places) / rows if rows else 0.0 for name, places in differs.items()},
        examples=tuple(examples[:_EXAMPLES]),
    )


def _differing(first: Sequence[Any], second: Sequence[Any]) -> set[int]:
    return {place for place, (one, other) in enumerate(zip(first, second, strict=True)) if not _same(one, other)}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    # NaN alone differs from itself.
    return bool(one == other) or (one != one and other != other)
