"""How an endpoint's requests are shared among its deployed models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from threading import Lock
from typing import Final

from cloudmlops.emulators.core.faults import Refused

NEW: Final = "0"
"""Stands for the model that is being deployed."""
_WHOLE: Final = 100


def checked_split(split: Mapping[str, int], deployed: Collection[str]) -> dict[str, int]:
    """Return a split without its shares of nothing.

    Raises:
        Refused: It names what is not deployed, a share is not a percentage, or they do not sum to 100.
    """
    for identity, share in split.items():
        if identity not in deployed:
            raise Refused(
                "INVALID_ARGUMENT", f"Traffic split refers to DeployedModel ID {identity}, which is not deployed."
            )
        if not 0 <= share <= _WHOLE:
            raise Refused("INVALID_ARGUMENT", f"Traffic percentage {share} of {identity} is not between 0 and 100.")
    if split and (total := sum(split.values())) != _WHOLE:
        raise Refused("INVALID_ARGUMENT", f"Traffic percentages must sum to 100, these sum to {total}.")
    return {identity: share for identity, share in split.items() if share}


class Turns:
    """Whose turn it is at each endpoint.

    The service draws by chance. Here the turns follow the shares evenly, so that ten requests at 90:10 are nine and
    one: one of the outcomes that chance may have, and the one that tests can count on.
    """

    def __init__(self) -> None:
        self._behind: dict[str, dict[str, int]] = {}
        self._lock = Lock()

    def next(self, endpoint: str, split: Mapping[str, int]) -> str:
        """Return whose turn it is by a split that is not empty."""
        with self._lock:
            before = self._behind.get(endpoint, {})
            behind = {identity: before.get(identity, 0) + share for identity, share in split.items()}
            chosen = max(behind, key=lambda identity: (behind[identity], identity))
            behind[chosen] -= sum(split.values())
            self._behind[endpoint] = behind
            return chosen
