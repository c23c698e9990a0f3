"""Objects in the JSON API: their metadata, their bytes, and their end."""

from __future__ import annotations

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage import downloads
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.preconditions import check_tags, of_query
from cloudmlops.emulators.google.storage.records import Version
from cloudmlops.emulators.google.storage.resources import (
    OBJECT_SETTINGS,
    object_resource,
    object_settings,
    patched,
    refuse_unknown_object_settings,
)
from cloudmlops.emulators.google.storage.wire import Answer, Asked, answer_json


def get(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str) -> Answer:
    """Answer with metadata, or with bytes under `alt=media`."""
    if asked.flag("softDeleted"):
        raise Refused("UNIMPLEMENTED", "objects.get of soft-deleted objects is not emulated", reason="notImplemented")
    conditions = of_query(asked.query)
    if asked.query.get("alt") == "media":
        return downloads.media(
            catalogue, asked, bucket=bucket, name=name, generation=generation_of(asked), conditions=conditions
        )
    version = catalogue.get(bucket, name, generation_of(asked))
    conditions.check(version, reading=True)
    check_tags(asked.headers, version.etag)
    return answer_object(catalogue, asked, version)


def patch(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str) -> Answer:
    """Change some settings."""
    refuse_unknown_object_settings(content := asked.json())
    version = catalogue.change(
        bucket,
        name,
        generation_of(asked),
        of_query(asked.query),
        lambda known: patched(known.settings, content, OBJECT_SETTINGS),
    )
    return answer_object(catalogue, asked, version)


def update(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str) -> Answer:
    """Replace all settings."""
    settings = object_settings(asked.json())
    version = catalogue.change(
        bucket,
        name,
        generation_of(asked),
        of_query(asked.query),
        lambda known: {"storageClass": known.settings["storageClass"], **settings},
    )
    return answer_object(catalogue, asked, version)


def delete(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str) -> Answer:
    """Remove an object or a generation of it."""
    catalogue.delete(bucket, name, generation_of(asked), of_query(asked.query))
    return Answer(status=204)


def generation_of(asked: Asked, parameter: str = "generation") -> int | None:
    """Read which generation is meant; None is the live one."""
    text = asked.query.get(parameter)
    if text is None:
        return None
    if not text.isdecimal():
        raise Refused("INVALID_ARGUMENT", f"Invalid value for {parameter}: {text!r}", reason="invalid")
    return int(text)


def answer_object(catalogue: Catalogue, asked: Asked, version: Version) -> Answer:
    """Answer with the resource of a version."""
    resource = object_resource(version, catalogue.bucket(version.bucket), asked.base)
    return answer_json(resource, headers={"etag": version.etag})
