"""Buckets in the JSON API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.names import LOCATIONS
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.listing import page_size
from cloudmlops.emulators.google.storage.preconditions import NONE, of_query
from cloudmlops.emulators.google.storage.records import Bucket
from cloudmlops.emulators.google.storage.resources import (
    BUCKET_SETTINGS,
    bucket_resource,
    bucket_settings,
    patched,
    refuse_unknown_bucket_settings,
)
from cloudmlops.emulators.google.storage.wire import Answer, Asked, answer_json

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST_PLAIN: Final = 63
_PLACES: Final = LOCATIONS | {
    *("asia-southeast3", "europe-west10", "northamerica-south1"),
    *("asia", "eu", "us"),
    *("asia1", "eur4", "eur5", "eur7", "eur8", "nam4"),
}
"""Regions, multi-regions and predefined dual regions (cloud.google.com/storage/docs/locations)."""
_FIXED: Final = ("location", "locationType")


def insert(catalogue: Catalogue, asked: Asked) -> Answer:
    """Make a bucket."""
    content = asked.json()
    name, project = str(content.get("name", "")), asked.query.get("project", "")
    if not project:
        raise Refused("INVALID_ARGUMENT", "Required parameter: project", reason="required")
    bucket = new_bucket(catalogue, name, project, bucket_settings(content))
    return answer_json(bucket_resource(bucket, asked.base))


def new_bucket(catalogue: Catalogue, name: str, project: str, settings: Mapping[str, Any]) -> Bucket:
    """Make a bucket with the service's defaults."""
    if not _NAME.fullmatch(name) or any(len(part) > _LONGEST_PLAIN for part in name.split(".")):
        raise Refused("INVALID_ARGUMENT", f"Invalid bucket name: '{name}'", reason="invalid")
    place = str(settings.get("location", "US"))
    if place.lower() not in _PLACES:
        raise Refused("INVALID_ARGUMENT", "The specified location constraint is not valid.", reason="invalid")
    now = catalogue.now()
    given = {
        "storageClass": "STANDARD",
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True, "lockedTime": now},
            "publicAccessPrevention": "inherited",
        },
        **settings,
        "location": place.upper(),
    }
    bucket = Bucket(
        name=name,
        project=catalogue.projects.id(project),
        project_number=catalogue.projects.number(project),
        metageneration=1,
        created=now,
        updated=now,
        settings=_timed(given, {}, now),
    )
    catalogue.create_bucket(bucket)
    return bucket


def get(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Show a bucket."""
    found = catalogue.bucket(bucket)
    of_query(asked.query).check(found, reading=True)
    return answer_json(bucket_resource(found, asked.base))


def get_storage_layout(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Tell where a bucket lies and that its names are flat."""
    shown = bucket_resource(catalogue.bucket(bucket), asked.base)
    flat = {"kind": "storage#storageLayout", "bucket": bucket, "hierarchicalNamespace": {"enabled": False}}
    return answer_json({**flat, "location": shown["location"], "locationType": shown["locationType"]})


def list_(catalogue: Catalogue, asked: Asked) -> Answer:
    """Show the buckets of a project."""
    if not (project := asked.query.get("project")):
        raise Refused("INVALID_ARGUMENT", "Required parameter: project", reason="required")
    prefix, after = asked.query.get("prefix", ""), asked.query.get("pageToken", "")
    count = page_size(asked.query.get("maxResults"))
    found = [
        bucket
        for bucket in catalogue.buckets()
        if bucket.project == catalogue.projects.id(project) and bucket.name.startswith(prefix) and bucket.name > after
    ]
    page: dict[str, Any] = {
        "kind": "storage#buckets",
        "items": [bucket_resource(bucket, asked.base) for bucket in found[:count]],
    }
    if len(found) > count:
        page["nextPageToken"] = found[count - 1].name
    return answer_json(page)


def patch(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Change some settings."""
    refuse_unknown_bucket_settings(content := asked.json())
    return _change(catalogue, asked, bucket, lambda known: patched(known.settings, content, BUCKET_SETTINGS))


def update(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Replace all settings but those that cannot change."""
    settings = bucket_settings(asked.json())
    return _change(
        catalogue,
        asked,
        bucket,
        lambda known: {
            "location": known.settings["location"],
            "storageClass": known.settings["storageClass"],
            **settings,
        },
    )


def delete(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Remove an empty bucket."""
    catalogue.delete_bucket(bucket, of_query(asked.query))
    return Answer(status=204)


def lock_retention_policy(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Let the retention policy never become shorter again."""
    conditions = of_query(asked.query)
    if conditions.metageneration_match is None:
        raise Refused("INVALID_ARGUMENT", "Required parameter: ifMetagenerationMatch", reason="required")

    def locked(known: Bucket) -> Bucket:
        if not known.settings.get("retentionPolicy"):
            raise Refused("INVALID_ARGUMENT", "The bucket has no retention policy to lock.", reason="invalid")
        policy = {**known.settings["retentionPolicy"], "isLocked": True}
        return replace(known, settings={**known.settings, "retentionPolicy": policy})

    return answer_json(bucket_resource(catalogue.change_bucket(bucket, conditions, locked), asked.base))


def get_iam_policy(catalogue: Catalogue, _: Asked, *, bucket: str) -> Answer:
    """Show who may do what; it is recorded and not enforced."""
    known = catalogue.bucket(bucket)
    return answer_json(_policy(known))


def set_iam_policy(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Record who may do what."""
    content = asked.json()
    policy = {name: value for name, value in content.items() if name in ("version", "bindings")}

    def change(known: Bucket) -> Bucket:
        if content.get("etag") not in (None, f"{known.metageneration:x}"):
            raise Refused("FAILED_PRECONDITION", "The policy was changed meanwhile.", reason="conditionNotMet")
        return replace(known, policy=policy)

    return answer_json(_policy(catalogue.change_bucket(bucket, NONE, change)))


def test_iam_permissions(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Say which of some permissions the caller has."""
    catalogue.bucket(bucket)
    granted = catalogue.permissions.granted(asked, asked.all("permissions"), bucket)
    return answer_json({"kind": "storage#testIamPermissionsResponse", **({"permissions": granted} if granted else {})})


def _policy(bucket: Bucket) -> dict[str, Any]:
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket.name}",
        "etag": f"{bucket.metageneration:x}",
        **bucket.policy,
    }


def _change(catalogue: Catalogue, asked: Asked, name: str, change: Callable[[Bucket], Mapping[str, Any]]) -> Answer:
    def checked(known: Bucket) -> Bucket:
        settings = change(known)
        if any(settings.get(fixed) != known.settings.get(fixed) for fixed in _FIXED):
            raise Refused("INVALID_ARGUMENT", "The location of a bucket cannot be changed.", reason="invalid")
        _check_lock(known.settings.get("retentionPolicy") or {}, settings.get("retentionPolicy") or {})
        return replace(known, settings=_timed(settings, known.settings, catalogue.now()))

    return answer_json(bucket_resource(catalogue.change_bucket(name, of_query(asked.query), checked), asked.base))


def _check_lock(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if old.get("isLocked") and int(new.get("retentionPeriod", 0)) < int(old["retentionPeriod"]):
        raise Refused(
            "PERMISSION_DENIED", "A locked retention policy cannot be shortened or removed.", reason="forbidden"
        )


def _timed(settings: Mapping[str, Any], old: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Write down since when a retention policy holds."""
    policy = settings.get("retentionPolicy")
    if not policy:
        return {name: value for name, value in settings.items() if name != "retentionPolicy"}
    period = str(int(policy["retentionPeriod"]))
    before = old.get("retentionPolicy") or {}
    since = before.get("effectiveTime", now) if before.get("retentionPeriod") == period else now
    kept: dict[str, Any] = {"retentionPeriod": period, "effectiveTime": since}
    if before.get("isLocked"):
        kept["isLocked"] = True
    return {**settings, "retentionPolicy": kept}
