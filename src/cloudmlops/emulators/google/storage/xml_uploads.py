"""Multipart uploads of the XML API: parts in any order, made one object at the end."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.content import pieces_of
from cloudmlops.emulators.google.storage.listing import page_size
from cloudmlops.emulators.google.storage.preconditions import of_headers
from cloudmlops.emulators.google.storage.uploads import check_sums, checked_name, goog_hash
from cloudmlops.emulators.google.storage.wire import Answer, Asked
from cloudmlops.emulators.google.storage.xml_documents import answer_xml, settings_of, write, written

SMALLEST_PART: Final = 5 << 20
"""Bytes of each part but the last."""
_MOST_PARTS: Final = 10_000


def initiate(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    """Begin an upload."""
    catalogue.bucket(bucket)
    upload = secrets.token_urlsafe(24)
    begun = {"name": checked_name(name), "settings": settings_of(asked), "started": catalogue.now()}
    catalogue.sessions.put(f"multipart/{bucket}/{upload}", json.dumps(begun).encode())
    return answer_xml("InitiateMultipartUploadResult", [("Bucket", bucket), ("Key", name), ("UploadId", upload)])


def part(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    """Take a part; a second one of the same number takes the place of the first."""
    upload = _known(catalogue, asked, bucket, name)
    text = asked.query.get("partNumber", "")
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_PARTS:
        raise Refused("INVALID_ARGUMENT", f"partNumber must be a number from 1 to {_MOST_PARTS}.", reason="invalid")
    stored = catalogue.content.store(pieces_of(asked.body))
    try:
        md5 = asked.headers.get("content-md5")
        check_sums(stored, {**goog_hash(asked.headers), **({"md5": md5} if md5 else {})})
        etag = f'"{secrets.token_hex(16)}"'
        content = {"file": stored.file, "size": stored.size, "etag": etag, "at": catalogue.now()}
        with catalogue.transaction():
            _known(catalogue, asked, bucket, name)
            key = f"part/{upload}/{int(text):05}"
            before = catalogue.sessions.get(key)
            catalogue.sessions.put(key, json.dumps(content).encode())
    except Refused:
        catalogue.content.drop([stored.file])
        raise
    if before is not None:
        catalogue.content.drop([json.loads(before)["file"]])
    return Answer(headers={"etag": etag, "x-goog-hash": f"crc32c={stored.crc32c},md5={stored.md5}"})


def complete(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    """Make the object of the parts that the client lists."""
    upload = _known(catalogue, asked, bucket, name)
    conditions = of_headers(asked.headers)
    catalogue.check(asked, bucket, name, conditions)
    wanted = _listed(asked)
    with catalogue.transaction():
        _known(catalogue, asked, bucket, name)
        known = _parts(catalogue, upload)
        files = [catalogue.content.again(file) for file in _chosen(known, wanted)]

    def pieces() -> Iterator[bytes]:
        for file in files:
            yield from catalogue.content.pieces(file)

    try:
        stored = catalogue.content.store(pieces())
    finally:
        catalogue.content.drop(files)
    try:
        with catalogue.transaction():
            begun = _begun(catalogue, asked, bucket, name)
            version = catalogue.add(
                bucket, name, stored, settings=begun["settings"], conditions=conditions, components=len(files)
            )
            _forget(catalogue, bucket, upload)
    except Refused:
        catalogue.content.drop([stored.file])
        raise
    catalogue.content.drop(item["file"] for item in known.values())
    location = f"{asked.base}/{bucket}/{quote(name)}"
    children = [("Location", location), ("Bucket", bucket), ("Key", name), ("ETag", version.xml_etag)]
    headers = {**written(version).headers, "content-type": "application/xml; charset=UTF-8"}
    return Answer(body=write("CompleteMultipartUploadResult", children), headers=headers)


def _chosen(known: Mapping[int, Mapping[str, Any]], wanted: Sequence[tuple[int, str]]) -> list[str]:
    """Return the files of the parts that a client lists."""
    files = []
    for place, (number, etag) in enumerate(wanted):
        found = known.get(number)
        if found is None or found["etag"].strip('"') != etag.strip('"'):
            raise Refused(
                "INVALID_ARGUMENT", f"One or more of the parts could not be found: {number}", reason="InvalidPart"
            )
        if found["size"] < SMALLEST_PART and place < len(wanted) - 1:
            raise Refused(
                "INVALID_ARGUMENT",
                "Your proposed upload is smaller than the minimum allowed size.",
                reason="EntityTooSmall",
            )
        files.append(str(found["file"]))
    return files


def abort(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    """Forget an upload and its parts."""
    with catalogue.transaction():
        upload = _known(catalogue, asked, bucket, name)
        known = _parts(catalogue, upload)
        _forget(catalogue, bucket, upload)
    catalogue.content.drop(item["file"] for item in known.values())
    return Answer(status=204)


def parts(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    """List the parts that have arrived."""
    upload = _known(catalogue, asked, bucket, name)
    count = page_size(asked.query.get("max-parts"))
    after = _number(asked.query.get("part-number-marker", "0"), "part-number-marker")
    found = [(number, item) for number, item in _parts(catalogue, upload).items() if number > after]
    children: list[tuple[str, object]] = [
        ("Bucket", bucket),
        ("Key", name),
        ("UploadId", upload),
        ("PartNumberMarker", after),
        *([("NextPartNumberMarker", found[count - 1][0])] if len(found) > count else []),
        ("MaxParts", count),
        ("IsTruncated", "true" if len(found) > count else "false"),
    ]
    for number, item in found[:count]:
        told = [("PartNumber", number), ("LastModified", item["at"]), ("ETag", item["etag"]), ("Size", item["size"])]
        children.append(("Part", told))
    return answer_xml("ListPartsResult", children)


def uploads(catalogue: Catalogue, asked: Asked, bucket: str, _: str) -> Answer:
    """List the uploads that are under way."""
    catalogue.bucket(bucket)
    start = f"multipart/{bucket}/"
    prefix = asked.query.get("prefix", "")
    begun = [(key.removeprefix(start), json.loads(data)) for key, data in catalogue.sessions.items(start)]
    listed = sorted(
        (item["name"], item["started"], upload) for upload, item in begun if item["name"].startswith(prefix)
    )
    told: list[tuple[str, object]] = [
        ("Upload", [("Key", name), ("UploadId", upload), ("Initiated", started)]) for name, started, upload in listed
    ]
    start_of = [("Bucket", bucket), ("Prefix", prefix), ("IsTruncated", "false")]
    return answer_xml("ListMultipartUploadsResult", [*start_of, *told])


def _begun(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> dict[str, Any]:
    upload = asked.query.get("uploadId", "")
    catalogue.bucket(bucket)
    found = catalogue.sessions.get(f"multipart/{bucket}/{upload}")
    begun: dict[str, Any] = json.loads(found or b"{}")
    if begun.get("name") != name:
        raise Refused("NOT_FOUND", "The requested upload was not found.", reason="NoSuchUpload")
    return begun


def _known(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> str:
    _begun(catalogue, asked, bucket, name)
    return asked.query["uploadId"]


def _parts(catalogue: Catalogue, upload: str) -> dict[int, dict[str, Any]]:
    start = f"part/{upload}/"
    return {int(key.removeprefix(start)): json.loads(data) for key, data in catalogue.sessions.items(start)}


def _forget(catalogue: Catalogue, bucket: str, upload: str) -> None:
    catalogue.sessions.delete(f"multipart/{bucket}/{upload}")
    for number in _parts(catalogue, upload):
        catalogue.sessions.delete(f"part/{upload}/{number:05}")


def _number(text: str, name: str) -> int:
    """Read a whole number of a query.

    Raises:
        Refused: It is none.
    """
    if not text.isdecimal():
        raise Refused("INVALID_ARGUMENT", f"Invalid value for {name}: {text!r}", reason="invalid")
    return int(text)


def _listed(asked: Asked) -> list[tuple[int, str]]:
    try:
        root = ET.fromstring(asked.read())  # noqa: S314 from a client on loopback; expat bounds expansion
        listed = [
            (int(item.findtext("{*}PartNumber", "")), item.findtext("{*}ETag", ""))
            for item in root.iter()
            if _is_part(item)
        ]
    except (ET.ParseError, ValueError) as error:
        raise Refused(
            "INVALID_ARGUMENT", f"The XML you provided was not well-formed: {error}", reason="MalformedXML"
        ) from error
    numbers = [number for number, _ in listed]
    if not numbers or numbers != sorted(set(numbers)):
        raise Refused("INVALID_ARGUMENT", "The list of parts was not in ascending order.", reason="InvalidPartOrder")
    return listed


def _is_part(item: ET.Element) -> bool:
    return item.tag.rpartition("}")[2] == "Part"
