"""Headers and documents as the XML API has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from xml.sax.saxutils import escape

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.downloads import object_headers
from cloudmlops.emulators.google.storage.records import Version
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


def written(version: Version, **more: str) -> Answer:
    """Tell of a version that was just made."""
    told = object_headers(version)
    headers = {name: value for name, value in told.items() if name.startswith("x-goog-") and "-meta-" not in name}
    return Answer(headers={**headers, "etag": version.xml_etag, **more})


def _element(name: str, children: Iterable[tuple[str, object]], namespace: str = "") -> str:
    inner = "".join(
        _element(child, value) if isinstance(value, list) else f"<{child}>{escape(str(value))}</{child}>"
        for child, value in children
    )
    return f"<{name}" + (f' xmlns="{namespace}"' if namespace else "") + f">{inner}</{name}>"
