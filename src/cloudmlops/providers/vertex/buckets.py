"""The bucket: whether it is there, and where Vertex AI can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudmlops.errors import ConfigurationError, NotFoundError, PermissionDeniedError
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.locations import lies_in
from cloudmlops.providers.vertex.rest import STORAGE, Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.wire import Wire


def check_bucket(wire: Wire, operation: str) -> None:
    """Look where the bucket is; the right to list its objects suffices, and who lacks it sees nothing wrong here.

    Raises:
        ConfigurationError: It is in another region.
        NotFoundError: There is none.
    """
    settings = wire.settings
    bucket, location = settings.bucket, settings.location
    make = f"gcloud storage buckets create gs://{bucket} --location={location}"
    rest = Rest(wire)
    try:
        shown = rest.ask(
            "GET", STORAGE, f"/storage/v1/b/{bucket}/storageLayout", operation=operation, resource=bucket, again=True
        )
    except PermissionDeniedError:
        return
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no bucket {bucket!r}",
            hint=f"Make it: {make}",
            provider=PROVIDER,
            operation=operation,
            resource=bucket,
        ) from error
    finally:
        rest.close()
    place = str(shown.get("location", location))
    parts = shown.get("customPlacementConfig", {}).get("dataLocations", ())
    if not lies_in(place, parts, location):
        raise ConfigurationError(
            f"the bucket {bucket!r} is in {place.lower()}, and not in {location}",
            hint=f"Name a bucket of {location} in the settings; a new one: "
            f"gcloud storage buckets create gs://NAME --location={location}",
        )
