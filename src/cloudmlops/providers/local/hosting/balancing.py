"""Which deployment gets the next request."""

from __future__ import annotations

from collections.abc import Mapping


class SmoothWeighted:
    """Smooth weighted round robin, as in nginx: in a full round each name comes by its weight exactly, well mixed."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = {name: weight for name, weight in weights.items() if weight > 0}
        self._credit = dict.fromkeys(self._weights, 0)
        self._total = sum(self._weights.values())

    def next(self) -> str | None:
        """Return the next name; None when there is none."""
        if not self._weights:
            return None
        for name, weight in self._weights.items():
            self._credit[name] += weight
        chosen = max(self._credit, key=self._credit.__getitem__)
        self._credit[chosen] -= self._total
        return chosen
