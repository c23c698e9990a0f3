"""Objects made of objects: copies, rewrites that take several calls, compositions."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.objects import answer_object, generation_of
from cloudmlops.emulators.google.storage.preconditions import Conditions, of_query
from cloudmlops.emulators.google.storage.records import Version
from cloudmlops.emulators.google.storage.resources import object_resource, object_settings
from cloudmlops.emulators.google.storage.uploads import checked_name
from cloudmlops.emulators.google.storage.wire import Answer, Asked, answer_json

_MOST_COMPONENTS: Final = 32
_MIB: Final = 1 << 20
_PER_CALL: Final = 1 << 30
"""Bytes that one rewrite to another location or storage class copies, unless the caller wants less."""


def copy(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str, to_bucket: str, to_name: str) -> Answer:
    """Copy in one call."""
    settings = object_settings(asked.json())
    source = catalogue.get(bucket, name, generation_of(asked, "sourceGeneration"))
    catalogue.check(asked, to_bucket, checked_name(to_name), of_query(asked.query))
    version = catalogue.copy(
        source,
        to_bucket,
        checked_name(to_name),
        conditions=of_query(asked.query),
        source_conditions=of_query(asked.query, "ifSource"),
        settings=settings or None,
    )
    return answer_object(catalogue, asked, version)


def rewrite(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str, to_bucket: str, to_name: str) -> Answer:
    """Copy in as many calls as it takes: at once, unless the bytes have to move."""
    settings = object_settings(asked.json())
    source = catalogue.get(bucket, name, generation_of(asked, "sourceGeneration"))
    of_query(asked.query, "ifSource").check(source)
    conditions = of_query(asked.query)
    catalogue.check(asked, to_bucket, checked_name(to_name), conditions)
    token = asked.query.get("rewriteToken")
    subject = [bucket, name, source.generation, to_bucket, to_name]
    done = _done(catalogue, token, subject) if token else 0
    done = min(source.size, done + _step(catalogue, asked, source, to_bucket, settings.get("storageClass")))
    reply = {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": str(done),
        "objectSize": str(source.size),
        "done": done == source.size,
    }
    if done < source.size:
        token = token or secrets.token_urlsafe(24)
        progress = {"subject": subject, "done": done}
        catalogue.sessions.put(f"rewrite/{token}", json.dumps(progress).encode())
        return answer_json({**reply, "rewriteToken": token})
    version = catalogue.copy(
        source,
        to_bucket,
        to_name,
        conditions=conditions,
        source_conditions=of_query(asked.query, "ifSource"),
        settings=settings or None,
    )
    if token:
        catalogue.sessions.delete(f"rewrite/{token}")
    return answer_json({**reply, "resource": object_resource(version, catalogue.bucket(to_bucket), asked.base)})


def move(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str, to_name: str) -> Answer:
    """Give an object another name in its bucket, in one step."""
    source_conditions = of_query(asked.query, "ifSource")
    with catalogue.transaction():
        source = catalogue.get(bucket, name)
        version = catalogue.copy(
            source,
            bucket,
            checked_name(to_name),
            conditions=of_query(asked.query),
            source_conditions=source_conditions,
            settings=None,
        )
        catalogue.delete(bucket, name, conditions=source_conditions)
    return answer_object(catalogue, asked, version)


def compose(catalogue: Catalogue, asked: Asked, *, bucket: str, name: str) -> Answer:
    """Join up to 32 objects of a bucket."""
    content = asked.json()
    listed = content.get("sourceObjects") or []
    if not 1 <= len(listed) <= _MOST_COMPONENTS:
        raise Refused(
            "INVALID_ARGUMENT",
            f"The number of source components provided ({len(listed)}) is not between 1 and {_MOST_COMPONENTS}.",
            reason="invalid",
        )
    if asked.flag("deleteSourceObjects") or content.get("deleteSourceObjects"):
        raise Refused(
            "UNIMPLEMENTED", "objects.compose with deleteSourceObjects is not emulated", reason="notImplemented"
        )
    conditions = of_query(asked.query)
    catalogue.check(asked, bucket, checked_name(name), conditions)
    with catalogue.transaction():
        sources = []
        for item in listed:
            generation = int(item["generation"]) if item.get("generation") else None
            source = catalogue.get(bucket, str(item.get("name", "")), generation)
            wanted = (item.get("objectPreconditions") or {}).get("ifGenerationMatch")
            Conditions(generation_match=int(wanted) if wanted is not None else None).check(source)
            sources.append(source)
        files = [catalogue.content.again(source.file) for source in sources]

    def pieces() -> Iterator[bytes]:
        for file in files:
            yield from catalogue.content.pieces(file)

    try:
        stored = catalogue.content.store(pieces())
    finally:
        catalogue.content.drop(files)
    settings = object_settings(content.get("destination") or {})
    version = catalogue.add(
        bucket,
        name,
        stored,
        settings=settings,
        conditions=conditions,
        components=sum(source.components or 1 for source in sources),
    )
    return answer_object(catalogue, asked, version)


def _done(catalogue: Catalogue, token: str, subject: list[object]) -> int:
    found = catalogue.sessions.get(f"rewrite/{token}")
    progress = json.loads(found) if found is not None else {}
    if progress.get("subject") != subject:
        raise Refused(
            "INVALID_ARGUMENT", "Invalid argument: the rewrite token is not of this rewrite.", reason="invalid"
        )
    return int(progress["done"])


def _step(catalogue: Catalogue, asked: Asked, source: Version, to_bucket: str, storage_class: str | None) -> int:
    here, there = catalogue.bucket(source.bucket), catalogue.bucket(to_bucket)
    target_class = storage_class or source.settings["storageClass"]
    if here.settings["location"] == there.settings["location"] and source.settings["storageClass"] == target_class:
        return source.size
    text = asked.query.get("maxBytesRewrittenPerCall")
    if text is None:
        return _PER_CALL
    if not text.isdecimal() or not int(text) or int(text) % _MIB:
        raise Refused("INVALID_ARGUMENT", "maxBytesRewrittenPerCall must be a multiple of 1 MiB.", reason="invalid")
    return int(text)
