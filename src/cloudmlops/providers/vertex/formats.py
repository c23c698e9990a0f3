"""How Google writes the names that settings hold: what is malformed is told before anything is asked."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from cloudmlops.domain.addresses import redacted
from cloudmlops.providers.formats import looking

_IP_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
_LONGEST_BUCKET: Final = 63
_LONGEST_DOTTED_BUCKET: Final = 222


def _bucket(given: str) -> str:
    parts = given.split(".")
    longest = _LONGEST_DOTTED_BUCKET if len(parts) > 1 else _LONGEST_BUCKET
    if (
        not re.fullmatch(r"[a-z0-9][a-z0-9._-]+[a-z0-9]", given)
        or len(given) > longest
        or any(not part or len(part) > _LONGEST_BUCKET or part[0] == "-" or part[-1] == "-" for part in parts)
        or _IP_ADDRESS.fullmatch(given)
    ):
        raise ValueError(f"{redacted(given)!r} is not the name of a bucket; write it without gs://")
    if given.startswith("goog") or "google" in given:
        raise ValueError(f"{given!r} is not the name of a bucket: Google keeps goog… and names with google to itself")
    return given


def _pubsub(kind: str) -> AfterValidator:
    return looking(
        rf"(?:(?:projects/[^/\s]+/{kind}/)?(?!goog)[A-Za-z][A-Za-z0-9._~%+-]{{2,254}})?",
        f"the name of one of Pub/Sub's {kind}, such as models or projects/my-project/{kind}/models",
    )


_ACCOUNT: Final = looking(
    r"(?:[^\s@/:]+@[^\s@/:.]+(?:\.[^\s@/:.]+)+)?",
    "the e-mail address of a service account, such as runner@my-project.iam.gserviceaccount.com",
)
_IMAGE: Final = looking(
    r"(?:[A-Za-z0-9][A-Za-z0-9._:/@-]*)?", "the name of a container image, such as REGION-docker.pkg.dev/…/steps:latest"
)

Project = Annotated[
    str, looking(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]+", "the id or the number of a project")
]
Location = Annotated[str, looking(r"[a-z]+-[a-z]+[0-9]+", "a region such as europe-west4")]
Bucket = Annotated[str, AfterValidator(_bucket)]
Dataset = Annotated[
    str, looking(r"[A-Za-z0-9_]{1,1024}", "the name of a BigQuery dataset: letters, digits and underscores")
]
OnlineStore = Annotated[
    str,
    looking(
        r"[a-z_][a-z0-9_]{0,59}",
        "the id of an online store: up to 60 lower-case letters, digits and underscores, no digit first",
    ),
]
Image = Annotated[str, _IMAGE]
Machine = Annotated[str, looking(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+", "a machine type such as n1-standard-2")]
Account = Annotated[str, _ACCOUNT]
Network = Annotated[
    str,
    looking(
        r"(?:projects/[0-9]+/global/networks/[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)?",
        "the full name of a network, with the number of its project: projects/12345/global/networks/vpc",
    ),
]
EncryptionKey = Annotated[
    str,
    looking(
        r"(?:projects/[^/\s]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63})?",
        "the full name of a Cloud KMS key: projects/…/locations/…/keyRings/…/cryptoKeys/…",
    ),
]
Topic = Annotated[str, _pubsub("topics")]
Subscription = Annotated[str, _pubsub("subscriptions")]
