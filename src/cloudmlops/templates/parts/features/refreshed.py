"""What is known about a customer, and since when: the groups, and the service of both."""

from __future__ import annotations

from datetime import timedelta

import cloudmlops as cm
import pandas as pd

from sources import NAME

DAY = timedelta(days=1)
customer = cm.Entity("customer", keys={"customer": str})
daily = cm.TableSource(f"{NAME}-daily".replace("-", "_"))
"""What a refresh writes: a row for each customer and day."""
activity = cm.FeatureView(
    f"{NAME}-activity".replace("-", "_"),
    entity=customer,
    source=daily,
    timestamp="event_time",
    created="computed_at",  # of two rows of one day the one that was computed last counts
    ttl=timedelta(days=3),
    features={"logins": float},
)
support = cm.FeatureView(
    f"{NAME}-support".replace("-", "_"),
    entity=customer,
    source=daily,
    timestamp="event_time",
    created="computed_at",
    ttl=timedelta(days=30),
    features={"tickets": float},
)
service = cm.FeatureService(NAME.replace("-", "_"), views=[activity, support])


def rows(events: pd.DataFrame) -> pd.DataFrame:
    """Compute the features of whole days: each customer's, known from the end of the day on.

    Args:
        events: (n, 3), as `sources.events` has them.

    Returns:
        (customers and days, 5): key, `event_time`, `computed_at` (both UTC) and the features.
    """
    known = events["happened_at"].dt.floor("D") + DAY
    kinds = {"logins": "login", "tickets": "ticket"}
    counted = {name: (events["kind"] == kind).astype(float) for name, kind in kinds.items()}
    table = pd.DataFrame({"customer": events["customer"], "event_time": known, **counted})
    table = table.groupby(["customer", "event_time"], as_index=False).sum()
    return table.assign(
        event_time=table["event_time"].astype("datetime64[us, UTC]"),
        computed_at=pd.Timestamp.now("UTC").as_unit("us"),
    )
