"""What is known about a customer, and since when."""

from __future__ import annotations

import cloudmlops as cm

from model import INPUTS, LABEL, NAME

EVENTS = ["customer", "event_time", LABEL]
"""What is asked: whom, when, and what came of it."""
customer = cm.Entity("customer", keys={"customer": str})


def service(activity: str) -> cm.FeatureService:
    """Define what the model is trained on and served with.

    Args:
        activity: Address of the Parquet file that the step `publish` wrote.
    """
    view = cm.FeatureView(
        f"{NAME}-activity".replace("-", "_"),
        entity=customer,
        source=cm.ParquetSource(activity),
        timestamp="event_time",
        features=dict.fromkeys(INPUTS, float),
    )
    return cm.FeatureService(NAME.replace("-", "_"), views=[view])
