"""Where Vertex AI is, and which buckets lie there."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_REGIONS: Final = """
africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-central2 europe-north1
europe-north2 europe-southwest1 europe-west1 europe-west12 europe-west2 europe-west3 europe-west4 europe-west6
europe-west8 europe-west9 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
southamerica-east1 southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-east7 us-south1 us-west1 us-west2
us-west3 us-west4 us-west8
"""
LOCATIONS: Final = frozenset(_REGIONS.split())
"""Regions as Google's SDK lists them; without `global`, which has no registry, endpoints or pipelines of ours."""
_AREAS: Final = {"asia": ("asia-",), "eu": ("europe-",), "us": ("us-",)}
"""Multi-regions of Cloud Storage, and the regions within."""
_PAIRS: Final = {
    "asia1": ("asia-northeast1", "asia-northeast2"),
    "eur4": ("europe-north1", "europe-west4"),
    "eur5": ("europe-west1", "europe-west2"),
    "eur7": ("europe-west2", "europe-west3"),
    "eur8": ("europe-west3", "europe-west6"),
    "nam4": ("us-central1", "us-east1"),
}
"""Dual regions of Cloud Storage that have a name of their own."""


def alike(location: str) -> tuple[str, ...]:
    """Return known locations that are written nearly so."""
    return tuple(get_close_matches(location, sorted(LOCATIONS), n=3))


def lies_in(bucket_location: str, parts: Collection[str], region: str) -> bool:
    """Say whether a bucket's data are in a region.

    Args:
        bucket_location: As Cloud Storage tells it: a region, a dual region or a multi-region, in any case.
        parts: The regions of a dual region without a name of its own.
        region: Where Vertex AI is asked.
    """
    place = bucket_location.lower()
    if place in _AREAS:
        return region.startswith(_AREAS[place])
    return region in (place, *_PAIRS.get(place, ()), *(part.lower() for part in parts))
