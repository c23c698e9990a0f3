"""The XML API, which S3-like clients speak: objects at `/BUCKET/NAME`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage import downloads, listing
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.content import pieces_of
from cloudmlops.emulators.google.storage.listing import Wanted, find
from cloudmlops.emulators.google.storage.objects import generation_of
from cloudmlops.emulators.google.storage.preconditions import check_tags, of_headers
from cloudmlops.emulators.google.storage.records import Version
from cloudmlops.emulators.google.storage.uploads import check_sums, checked_name, goog_hash
from cloudmlops.emulators.google.storage.wire import Answer, Asked

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_SETTINGS: Final = {
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "content-type": "contentType",
    "x-goog-storage-class": "storageClass",
}
_SIGNED: Final = frozenset({"x-goog-signature", "x-amz-signature", "signature", "googleaccessid"})
_REFUSED_HEADERS: Final = ("x-goog-acl", "x-goog-encryption-algorithm", "x-goog-resumable", "x-goog-component-count")
_Found = tuple[str, Callable[[Catalogue, Asked], Answer]]


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
    return _of_object(asked, bucket, name) if name else _of_bucket(asked, bucket)


def settings_of(asked: Asked) -> dict[str, Any]:
    """Read an object's settings from a request's headers."""
    settings: dict[str, Any] = {to: asked.headers[name] for name, to in _SETTINGS.items() if asked.headers.get(name)}
    start = "x-goog-meta-"
    metadata = {name.removeprefix(start): value for name, value in asked.headers.items() if name.startswith(start)}
    return {**settings, **({"metadata": metadata} if metadata else {})}


def write(name: str, children: Iterable[tuple[str, object]], *, namespace: str = NAMESPACE) -> bytes:
    """Write a document; a child whose value is a list of pairs has children of its own."""
    return f'<?xml version="1.0" encoding="UTF-8"?>{_element(name, children, namespace)}'.encode()


def answer_xml(name: str, children: Iterable[tuple[str, object]], *, status: int = 200) -> Answer:
    """Answer with a document."""
    return Answer(status=status, body=write(name, children), headers={"content-type": "application/xml; charset=UTF-8"})


def not_emulated(what: str) -> Refused:
    """Say what is not emulated, by name."""
    return Refused("UNIMPLEMENTED", f"{what} not emulated", reason="notImplemented")


def _of_object(asked: Asked, bucket: str, name: str) -> _Found:
    from cloudmlops.emulators.google.storage import xml_uploads

    for sub in ("acl", "tagging", "retention", "legal-hold", "compose"):
        if sub in asked.query:
            raise not_emulated(f"?{sub} in the XML API is")
    match asked.method:
        case "POST" if "uploads" in asked.query:
            return "xml.multipart.initiate", lambda catalogue, asked: xml_uploads.initiate(
                catalogue, asked, bucket, name
            )
        case "POST" if "uploadId" in asked.query:
            return "xml.multipart.complete", lambda catalogue, asked: xml_uploads.complete(
                catalogue, asked, bucket, name
            )
        case "PUT" if "uploadId" in asked.query:
            return "xml.multipart.part", lambda catalogue, asked: xml_uploads.part(catalogue, asked, bucket, name)
        case "GET" if "uploadId" in asked.query:
            return "xml.multipart.parts", lambda catalogue, asked: xml_uploads.parts(catalogue, asked, bucket, name)
        case "DELETE" if "uploadId" in asked.query:
            return "xml.multipart.abort", lambda catalogue, asked: xml_uploads.abort(catalogue, asked, bucket, name)
        case "PUT" if "x-goog-copy-source" in asked.headers:
            return "objects.copy", lambda catalogue, asked: _copy(catalogue, asked, bucket, name)
        case "PUT":
            return "objects.insert", lambda catalogue, asked: _put(catalogue, asked, bucket, name)
        case "GET" | "HEAD":
            return "objects.get", lambda catalogue, asked: _get(catalogue, asked, bucket, name)
        case "DELETE":
            return "objects.delete", lambda catalogue, asked: _delete(catalogue, asked, bucket, name)
    raise not_emulated(f"{asked.method} of an object in the XML API is")


def _of_bucket(asked: Asked, bucket: str) -> _Found:
    from cloudmlops.emulators.google.storage import xml_uploads

    subs = asked.query.keys() - {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after"}
    subs -= {"marker", "encoding-type", "fetch-owner"}
    if asked.method == "GET" and subs == {"uploads"}:
        return "xml.multipart.list", lambda catalogue, asked: xml_uploads.uploads(catalogue, asked, bucket)
    if subs:
        raise not_emulated(f"?{min(subs)} of a bucket in the XML API is")
    match asked.method:
        case "GET":
            return "objects.list", lambda catalogue, asked: _list(catalogue, asked, bucket)
        case "HEAD":
            return "buckets.get", lambda catalogue, _: Answer(headers={"x-goog-bucket": catalogue.bucket(bucket).name})
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
    _check_writer_tags(catalogue, asked, bucket, name, catalogue.check(bucket, checked_name(name), conditions))
    stored = catalogue.content.store(pieces_of(asked.body))
    try:
        md5 = asked.headers.get("content-md5")
        check_sums(stored, {**goog_hash(asked.headers), **({"md5": md5} if md5 else {})})
    except Refused:
        catalogue.content.drop([stored.file])
        raise
    with catalogue.transaction():
        _check_writer_tags(catalogue, asked, bucket, name, catalogue.find(bucket, name))
        version = catalogue.add(bucket, name, stored, settings=settings_of(asked), conditions=conditions)
    return written(version)


def written(version: Version, **more: str) -> Answer:
    """Tell of a version that was just made."""
    told = downloads.object_headers(version)
    headers = {name: value for name, value in told.items() if name.startswith("x-goog-") and "-meta-" not in name}
    return Answer(headers={**headers, "etag": version.xml_etag, **more})


def _check_writer_tags(catalogue: Catalogue, asked: Asked, bucket: str, name: str, current: Version | None) -> None:
    wanted, excluded = asked.headers.get("if-match"), asked.headers.get("if-none-match")
    if current is None:
        if wanted is not None:
            raise Refused(
                "FAILED_PRECONDITION",
                "At least one of the pre-conditions you specified did not hold.",
                reason="conditionNotMet",
            )
        return
    if wanted is None and excluded is None:
        return
    try:
        check_tags(asked.headers, current.xml_etag)
    except Refused as refused:
        raise Refused(
            "FAILED_PRECONDITION",
            "At least one of the pre-conditions you specified did not hold.",
            reason="conditionNotMet",
        ) from refused


def _copy(catalogue: Catalogue, asked: Asked, bucket: str, name: str) -> Answer:
    of, _, source = unquote(asked.headers["x-goog-copy-source"].lstrip("/")).partition("/")
    generation = asked.headers.get("x-goog-copy-source-generation")
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


def _list(catalogue: Catalogue, asked: Asked, bucket: str) -> Answer:
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


def _element(name: str, children: Iterable[tuple[str, object]], namespace: str = "") -> str:
    inner = "".join(
        _element(child, value) if isinstance(value, list) else f"<{child}>{escape(str(value))}</{child}>"
        for child, value in children
    )
    return f"<{name}" + (f' xmlns="{namespace}"' if namespace else "") + f">{inner}</{name}>"
