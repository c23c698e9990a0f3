"""Documents as Blob Storage writes them: with a byte order mark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from cloudmlops.emulators.core.streaming import StreamedAnswer

Child = tuple[str, object]
"""A name, and text or children."""
_BOM: Final = "\ufeff"
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\ufffe\uffff]")


def answer_xml(
    name: str,
    children: Iterable[Child],
    *,
    attributes: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> StreamedAnswer:
    """Answer with a document."""
    marks = "".join(f" {key}={quoteattr(value)}" for key, value in (attributes or {}).items())
    text = f'{_BOM}<?xml version="1.0" encoding="utf-8"?><{name}{marks}>{_written(children)}</{name}>'
    return StreamedAnswer(body=text.encode(), headers={"content-type": "application/xml", **(headers or {})})


def named(name: str) -> str:
    """Write the element of a blob's name; one that XML cannot hold is percent-encoded and says so."""
    if _NOT_XML.search(name):
        return f'<Name Encoded="true">{quote(name)}</Name>'
    return f"<Name>{escape(name)}</Name>"


class Raw(str):
    """Elements that are written already."""

    __slots__ = ()


def _written(children: Iterable[Child]) -> str:
    return "".join(_element(name, value) for name, value in children)


def _element(name: str, value: object) -> str:
    if isinstance(value, Raw):
        return value
    inner = _written(value) if isinstance(value, list) else escape("" if value is None else str(value))
    return f"<{name}>{inner}</{name}>" if inner else f"<{name} />"
