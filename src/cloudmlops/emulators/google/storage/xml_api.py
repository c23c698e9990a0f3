"""The XML API, which S3-like clients speak: objects at `/BUCKET/NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage import downloads, listing, xml_uploads
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.content import pieces_of
from cloudmlops.emulators.google.storage.listing import Wanted, find
from cloudmlops.emulators.google.storage.objects import generation_of
from cloudmlops.emulators.google.storage.preconditions import check_tags, not_met, of_headers
from cloudmlops.emulators.google.storage.records import Version
from cloudmlops.emulators.google.storage.uploads import check_sums, checked_name, goog_hash
from cloudmlops.emulators.google.storage.wire import Answer, Asked
from cloudmlops.emulators.google.storage.xml_documents import answer_xml, not_emulated, settings_of, write, written

_SIGNED: Final = frozenset({"x-goog-signature", "x-amz-signature", "signature", "googleaccessid"})
_REFUSED_HEADERS: Final = ("x-goog-acl", "x-goog-encryption-algorithm", "x-goog-resumable", "x-goog-component-count")
_Found = tuple[str, Callable[[Catalogue, Asked, str, str], Answer]]


def find_operation(asked: Asked, bucket: str, name: str) -> _Found:
    """Return what a request asks for, by its method and its sub-resource."""
    parameters = {key.lower() for key in asked.query}
    if parameters & _SIGNED:
        raise not_emulated("signed URLs are")
    for header in _REFUSED_HEADERS:
        if header in asked.headers:
            raise not_emulated(f"the header {header} in the XML API is")
    if not bucket:
        raise not_emulated("the XML API's list of buckets is")
    return _of_object(asked) if name else _of_bucket(asked)


def _of_object(asked: Asked) -> _Found:
    for sub in ("acl", "tagging", "retention", "legal-hold", "compose"):
        if sub in asked.query:
            raise not_emulated(f"?{sub} in the XML API is")
    match asked.method:
        case "POST" if "uploads" in asked.query:
            return "xml.multipart.initiate", xml_uploads.initiate
        case "POST" if "uploadId" in asked.query:
            return "xml.multipart.complete", xml_uploads.complete
        case "PUT" if "uploadId" in asked.query:
            return "xml.multipart.part", xml_uploads.part
        case "GET" if "uploadId" in asked.query:
            return "xml.multipart.parts", xml_uploads.parts
        case "DELETE" if "uploadId" in asked.query:
            return "xml.multipart.abort", xml_uploads.abort
        case "PUT" if "x-goog-copy-source" in asked.headers:
            return "objects.copy", _copy
        case "PUT":
            return "objects.insert", _put
        case "GET" | "HEAD":
            return "objects.get", _get
        case "DELETE":
            return "objects.delete", _delete
    raise not_emulated(f"{asked.method} of an object in the XML API is")


def _of_bucket(asked: Asked) -> _Found:
    subs = asked.query.keys() - {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after"}
    subs -= {"marker", "encoding-type", "fetch-owner"}
    if asked.method == "GET" and subs == {"uploads"}:
        return "xml.multipart.list", xml_uploads.uploads
    if subs:
        raise not_emulated(f"?{min(subs)} of a bucket in the XML API is")
    match asked.method:
        case "GET":
            return "objects.list", _list
        case "HEAD":
            return "buckets.get", _head_bucket
    raise not_emulated(f"{asked.method} of a bucket in the XML API is")


def _get(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    return downloads.media(
        catalogue,
        asked,
        bucket=bucket,
        name=name,
        generation=generation_of(asked),
        conditions=of_headers(asked.headers),
    )


def _put(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    conditions = of_headers(asked.headers)
    _check_writer_tags(asked, catalogue.check(asked, bucket, checked_name(name), conditions))
    stored = catalogue.content.store(pieces_of(asked.body))
    try:
        md5 = asked.headers.get("content-md5")
        check_sums(stored, {**goog_hash(asked.headers), **({"md5": md5} if md5 else {})})
    except Refused:
        catalogue.content.drop([stored.file])
        raise
    with catalogue.transaction():
        _check_writer_tags(asked, catalogue.find(bucket, name))
        version = catalogue.add(bucket, name, stored, settings=settings_of(asked), conditions=conditions)
    return written(version)


def _check_writer_tags(asked: Asked, current: Version | None) -> None:
    try:
        if current is not None:
            check_tags(asked.headers, current.xml_etag)
        elif "if-match" in asked.headers:
            raise not_met()
    except Refused as refused:
        raise not_met() from refused


def _copy(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    of, _, source = unquote(asked.headers["x-goog-copy-source"].lstrip("/")).partition("/")
    generation = asked.headers.get("x-goog-copy-source-generation")
    catalogue.check(asked, bucket, checked_name(name), of_headers(asked.headers))
    version = catalogue.copy(
        catalogue.get(of, source, int(generation) if generation else None),
        bucket,
        checked_name(name),
        conditions=of_headers(asked.headers),
        source_conditions=of_headers(asked.headers, "x-goog-copy-source-if"),
        settings=settings_of(asked)
        if asked.headers.get("x-goog-metadata-directive", "").upper() == "REPLACE"
        else None,
    )
    children = [("LastModified", version.updated), ("ETag", version.xml_etag)]
    return Answer(body=write("CopyObjectResult", children), headers=dict(written(version).headers))


def _delete(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    catalogue.delete(bucket, name, generation_of(asked), of_headers(asked.headers))
    return Answer(status=204)


def _head_bucket(catalogue: Catalogue, _: Asked, bucket: str, __: str) -> Answer:
    of = catalogue.bucket(bucket)
    told = {"location": "location", "storage-class": "storageClass"}
    return Answer(headers={f"x-goog-bucket-{name}": str(of.settings[key]) for name, key in told.items()})


def _list(catalogue: Catalogue, asked: Asked, bucket: str, _: str) -> Answer:
    query = asked.query
    second = query.get("list-type") == "2"
    token = listing.read_token(query.get("continuation-token", "")) if second else ""
    after = token or query.get("start-after" if second else "marker", "")
    count = listing.page_size(query.get("max-keys"))
    wanted = Wanted(prefix=query.get("prefix", ""), delimiter=query.get("delimiter", ""), after=after, count=count)
    page = find(catalogue, bucket, wanted)
    coded: Callable[[str], str] = quote if query.get("encoding-type") == "url" else str
    children: list[tuple[str, object]] = [
        ("Name", bucket),
        ("Prefix", coded(wanted.prefix)),
        *([("Delimiter", coded(wanted.delimiter))] if wanted.delimiter else []),
        ("KeyCount", len(page.objects) + len(page.folders)),
        ("MaxKeys", count),
        ("IsTruncated", "true" if page.next is not None else "false"),
    ]
    if page.next is not None:
        children.append(
            ("NextContinuationToken", listing.token(page.next)) if second else ("NextMarker", coded(page.next))
        )
    children += [("Contents", _entry(version, coded)) for version in page.objects]
    children += [("CommonPrefixes", [("Prefix", coded(folder))]) for folder in page.folders]
    return answer_xml("ListBucketResult", children)


def _entry(version: Version, coded: Callable[[str], str]) -> list[tuple[str, object]]:
    return [
        ("Key", coded(version.name)),
        ("Generation", version.generation),
        ("MetaGeneration", version.metageneration),
        ("LastModified", version.updated),
        ("ETag", version.xml_etag),
        ("Size", version.size),
        ("StorageClass", version.settings["storageClass"]),
    ]
