"""What the service itself is about to end: not emulated, and refused with the date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.emulators.google.aiplatform.catalogue import Method

EXPLANATIONS: Final = "Explainable AI is deprecated since 2026-03-16 and is shut down on 2027-03-16."
_LEGACY_FEATURES: Final = "The legacy Feature Store gets no more than critical patches and is shut down on 2027-02-17."
_SUNSETS: Final[Mapping[str, str]] = {
    "PredictionService.Explain": EXPLANATIONS,
    "FeaturestoreService": _LEGACY_FEATURES,
    "FeaturestoreOnlineServingService": _LEGACY_FEATURES,
}


def not_emulated(method: Method) -> str:
    """Return what a method is refused with that is not emulated."""
    end = _SUNSETS.get(method.key) or _SUNSETS.get(method.service, "")
    return f"{method.path} is not emulated. {end}".strip()
