"""Buckets and objects as the JSON API shows them, and what of them a client may set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.records import Bucket, Version, held_until, stamp

OBJECT_SETTINGS: Final = frozenset(
    {
        "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "customTime",
        "eventBasedHold", "metadata", "storageClass", "temporaryHold",
    }
)  # fmt: skip
_OBJECT_REFUSED: Final = ("acl", "retention", "contexts")
BUCKET_SETTINGS: Final = frozenset(
    {
        "billing", "cors", "defaultEventBasedHold", "encryption", "iamConfiguration", "labels", "location", "logging",
        "retentionPolicy", "rpo", "softDeletePolicy", "storageClass", "versioning", "website",
    }
)  # fmt: skip
_BUCKET_REFUSED: Final = (
    "acl", "autoclass", "customPlacementConfig", "defaultObjectAcl", "hierarchicalNamespace", "ipFilter", "lifecycle",
    "objectRetention",
)  # fmt: skip


def object_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a resource what its owner may set; refuse by name what is not emulated."""
    _refuse(content, _OBJECT_REFUSED, "objects")
    settings = {name: value for name, value in content.items() if name in OBJECT_SETTINGS and value is not None}
    metadata = settings.get("metadata")
    if metadata is not None:
        settings["metadata"] = {name: str(value) for name, value in metadata.items() if value is not None}
    return settings


def patched(settings: Mapping[str, Any], content: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Apply a patch: null removes, and maps are patched key by key (JSON merge patch, RFC 7396)."""
    result = dict(settings)
    for name, value in content.items():
        if name not in names:
            continue
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = _merged(result[name], value)
        else:
            result[name] = value
    return result


def bucket_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a resource what its owner may set; refuse by name what is not emulated."""
    _refuse(content, _BUCKET_REFUSED, "buckets")
    return {name: value for name, value in content.items() if name in BUCKET_SETTINGS and value is not None}


def refuse_unknown_bucket_settings(content: Mapping[str, Any]) -> None:
    """Refuse a patch that would set what is not emulated."""
    _refuse(content, _BUCKET_REFUSED, "buckets")


def refuse_unknown_object_settings(content: Mapping[str, Any]) -> None:
    """Refuse a patch that would set what is not emulated."""
    _refuse(content, _OBJECT_REFUSED, "objects")


def bucket_resource(bucket: Bucket, base: str) -> dict[str, Any]:
    """Show a bucket."""
    location = str(bucket.settings.get("location", "US"))
    multi = location in ("US", "EU", "ASIA")
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base}/storage/v1/b/{bucket.name}",
        "projectNumber": bucket.project_number,
        "metageneration": str(bucket.metageneration),
        "timeCreated": bucket.created,
        "updated": bucket.updated,
        "locationType": "multi-region" if multi else "region",
        "etag": f"{bucket.metageneration:x}",
        **bucket.settings,
    }


def object_resource(version: Version, bucket: Bucket, base: str) -> dict[str, Any]:
    """Show a version of an object."""
    path = f"b/{version.bucket}/o/{quote(version.name, safe='')}"
    resource: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{version.bucket}/{version.name}/{version.generation}",
        "selfLink": f"{base}/storage/v1/{path}",
        "mediaLink": f"{base}/download/storage/v1/{path}?generation={version.generation}&alt=media",
        "name": version.name,
        "bucket": version.bucket,
        "generation": str(version.generation),
        "metageneration": str(version.metageneration),
        "size": str(version.size),
        "crc32c": version.crc32c,
        "etag": version.etag,
        "timeCreated": version.created,
        "updated": version.updated,
        "timeStorageClassUpdated": version.created,
        "timeFinalized": version.created,
        **version.settings,
    }
    if version.md5 is not None:
        resource["md5Hash"] = version.md5
    if version.components is not None:
        resource["componentCount"] = version.components
    if version.deleted is not None:
        resource["timeDeleted"] = version.deleted
    until = held_until(bucket, version)
    if until is not None:
        resource["retentionExpirationTime"] = stamp(until)
    return resource


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **new}.items() if value is not None}


def _refuse(content: Mapping[str, Any], names: tuple[str, ...], of: str) -> None:
    if asked := [name for name in names if content.get(name)]:
        raise Refused("UNIMPLEMENTED", f"{of}.{asked[0]} is not emulated", reason="notImplemented")
