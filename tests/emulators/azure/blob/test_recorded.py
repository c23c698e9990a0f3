"""Answers held to what recorded traffic of the real service has in them.

Distilled from the recordings of azure-sdk-for-python (test_block_blob, test_append_blob, test_blob_access_conditions,
test_common_blob, test_container; service version 2021-08-06): statuses, names of headers, elements of documents.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import httpx
import pytest
from tests.emulators.azure.blob.places import Place

from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator

VERSION = "2021-08-06"
TRANSPORT = {"date", "server", "x-ms-request-id", "x-ms-version", "content-length"}
"""What every answer has; recordings leave the id out, and the body's length where it is sent in chunks."""
NOT_COMPUTED = {"x-ms-content-crc64"}
"""What the service tells of uploads and the emulator does not."""
WRITTEN = {"etag", "last-modified", "x-ms-request-server-encrypted"}
PROPERTIES = {
    "accept-ranges",
    "content-type",
    "etag",
    "last-modified",
    "x-ms-blob-type",
    "x-ms-creation-time",
    "x-ms-lease-state",
    "x-ms-lease-status",
    "x-ms-server-encrypted",
}
LEASE = "00000000-1111-2222-3333-444444444444"


class Wire:
    """Requests to one container, let in by a SAS of the account."""

    def __init__(self, place: Place, blobs: Blobs) -> None:
        from datetime import timedelta

        self.name = str(place.container().container_name)
        self.url = f"{place.url}/{self.name}"
        self.signature = blobs.account_sas(place.account, permissions="rcuwdla", lasts=timedelta(hours=1)).lstrip("?")

    def ask(
        self, method: str, path: str = "", query: str = "", *, content: bytes = b"", **headers: str
    ) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.url}{path}?{query}{'&' if query else ''}{self.signature}"
        return httpx.request(
            method, url, content=content, headers={"x-ms-version": VERSION, **given}, trust_env=False, verify=False
        )

    def put(self, path: str = "/blob1", content: bytes = b"hello world", **headers: str) -> httpx.Response:
        return self.ask("PUT", path, content=content, x_ms_blob_type="BlockBlob", **headers)


@pytest.fixture
def wire(emulated: Place, azure_emulator: Emulator) -> Wire:
    return Wire(emulated, azure_emulator.cloud(AzureCloud).blobs)


def told(answer: httpx.Response) -> set[str]:
    return {name.lower() for name in answer.headers} - TRANSPORT


def error(answer: httpx.Response) -> tuple[int, str]:
    """Check a refusal's form; return status and code."""
    code = answer.headers["x-ms-error-code"]
    assert told(answer) == {"content-type", "x-ms-error-code"}
    assert answer.headers["content-type"] == "application/xml"
    assert answer.content.startswith(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>')
    root = ET.fromstring(answer.content)
    assert root.findtext("Code") == code
    assert re.fullmatch(
        r"[^\n]+\nRequestId:[0-9a-f-]{36}\nTime:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", root.findtext("Message") or ""
    )
    return answer.status_code, code


def test_a_put_blob_tells_etag_md5_and_encryption(wire: Wire) -> None:
    answer = wire.put(if_none_match="*")
    assert answer.status_code == 201
    assert told(answer) == {*WRITTEN, "content-md5"}
    assert answer.headers["content-md5"] == "XrY7u+Ae7tCTyyK7j1rNww=="
    assert re.fullmatch(r'"0x8[0-9A-F]{14}"', answer.headers["etag"])
    assert answer.headers["x-ms-version"] == VERSION


def test_properties_have_what_the_service_tells(wire: Wire) -> None:
    wire.put(x_ms_meta_name="bob")
    answer = wire.ask("HEAD", "/blob1")
    assert answer.status_code == 200
    assert told(answer) == {
        *PROPERTIES,
        "content-md5",
        "x-ms-access-tier",
        "x-ms-access-tier-inferred",
        "x-ms-meta-name",
    }
    assert answer.headers["content-length"] == "11"
    assert answer.headers["x-ms-lease-state"] == "available"


def test_a_range_is_partial_content_with_the_md5_of_the_whole_beside_it(wire: Wire) -> None:
    wire.put()
    answer = wire.ask("GET", "/blob1", x_ms_range="bytes=0-33554431")
    assert (answer.status_code, answer.headers["content-range"]) == (206, "bytes 0-10/11")
    assert told(answer) == {*PROPERTIES, "content-range", "x-ms-blob-content-md5"}


def test_a_missing_blob_has_no_body_for_a_head(wire: Wire) -> None:
    answer = wire.ask("HEAD", "/missing")
    assert (answer.status_code, answer.headers["x-ms-error-code"], answer.content) == (404, "BlobNotFound", b"")


def test_a_put_block_tells_no_etag(wire: Wire) -> None:
    answer = wire.ask("PUT", "/blob1", "comp=block&blockid=MQ%3D%3D", content=b"AAA")
    assert answer.status_code == 201
    assert told(answer) - {"content-md5"} == {"x-ms-request-server-encrypted"}


def test_a_list_of_blocks_that_are_not_there_is_invalid(wire: Wire) -> None:
    wire.ask("PUT", "/blob1", "comp=block&blockid=MQ%3D%3D", content=b"AAA")
    answer = wire.ask(
        "PUT", "/blob1", "comp=blocklist", content=b"<BlockList><Latest>MQ==</Latest><Latest>NA==</Latest></BlockList>"
    )
    assert error(answer) == (400, "InvalidBlockList")


def test_an_append_tells_where_and_how_many(wire: Wire) -> None:
    made = wire.ask("PUT", "/log", x_ms_blob_type="AppendBlob")
    assert (made.status_code, told(made)) == (201, WRITTEN)
    answer = wire.ask("PUT", "/log", "comp=appendblock", content=b"one")
    assert answer.status_code == 201
    assert told(answer) - {"content-md5"} == {
        *WRITTEN,
        "x-ms-blob-append-offset",
        "x-ms-blob-committed-block-count",
    }
    assert "content-md5" not in told(wire.ask("HEAD", "/log"))


def test_a_condition_that_does_not_hold_is_412(wire: Wire) -> None:
    etag = wire.put().headers["etag"]
    assert error(wire.put(if_none_match=etag)) == (412, "ConditionNotMet")
    assert error(wire.put(if_none_match="*")) == (409, "BlobAlreadyExists")


def test_a_lease_tells_its_id_and_leaves_the_etag(wire: Wire) -> None:
    etag = wire.put().headers["etag"]
    acquired = wire.ask(
        "PUT",
        "/blob1",
        "comp=lease",
        x_ms_lease_action="acquire",
        x_ms_lease_duration="-1",
        x_ms_proposed_lease_id=LEASE,
    )
    assert (acquired.status_code, acquired.headers["x-ms-lease-id"], acquired.headers["etag"]) == (201, LEASE, etag)
    assert told(acquired) == {"etag", "last-modified", "x-ms-lease-id"}
    released = wire.ask("PUT", "/blob1", "comp=lease", x_ms_lease_action="release", x_ms_lease_id=LEASE)
    assert (released.status_code, told(released)) == (200, {"etag", "last-modified"})


def test_a_list_has_the_elements_of_the_services_in_their_order(wire: Wire) -> None:
    wire.put(x_ms_meta_name="bob")
    answer = wire.ask("GET", "", "restype=container&comp=list&include=metadata")
    assert (answer.status_code, told(answer)) == (200, {"content-type"})
    root = ET.fromstring(answer.content)
    assert (root.tag, list(root.attrib)) == ("EnumerationResults", ["ServiceEndpoint", "ContainerName"])
    assert [one.tag for one in root] == ["Blobs", "NextMarker"]
    blob = root[0][0]
    assert [one.tag for one in blob] == ["Name", "Properties", "Metadata", "OrMetadata"]
    properties = blob.find("Properties")
    assert properties is not None
    assert [one.tag for one in properties] == [
        "Creation-Time",
        "Last-Modified",
        "Etag",
        "Content-Length",
        "Content-Type",
        "Content-Encoding",
        "Content-Language",
        "Content-CRC64",
        "Content-MD5",
        "Cache-Control",
        "Content-Disposition",
        "BlobType",
        "AccessTier",
        "AccessTierInferred",
        "LeaseStatus",
        "LeaseState",
        "ServerEncrypted",
    ]
    assert (properties.findtext("Etag") or "").startswith("0x8")


def test_names_that_xml_cannot_hold_are_encoded(wire: Wire) -> None:
    assert wire.put("/bell%07").status_code == 201
    answer = wire.ask("GET", "", "restype=container&comp=list")
    assert b'<Name Encoded="true">bell%07</Name>' in answer.content
    ET.fromstring(answer.content)


def test_a_list_can_start_from_a_name(wire: Wire) -> None:
    for name in ("a", "b", "c"):
        wire.put(f"/{name}")
    root = ET.fromstring(wire.ask("GET", "", "restype=container&comp=list&startFrom=b").content)
    assert [one.text for one in root.iter("Name")] == ["b", "c"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("maxresults=0", (400, "OutOfRangeQueryParameterValue")),
        ("maxresults=many", (400, "InvalidQueryParameterValue")),
        ("include=everything", (400, "InvalidQueryParameterValue")),
        ("marker=%21", (400, "InvalidQueryParameterValue")),
    ],
    ids=["none", "no number", "unknown", "malformed"],
)
def test_lists_that_cannot_be_are_refused(wire: Wire, query: str, expected: tuple[int, str]) -> None:
    assert error(wire.ask("GET", "", f"restype=container&comp=list&{query}")) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content_md5": "short"}, (400, "InvalidMd5")),
        ({"x_ms_blob_type": "Other"}, (400, "InvalidHeaderValue")),
        ({"if_match": '"a", "b"'}, (400, "MultipleConditionHeadersNotSupported")),
        ({"if_match": '"a"', "if_none_match": '"b"'}, (400, "MultipleConditionHeadersNotSupported")),
        ({"if_modified_since": "yesterday"}, (400, "InvalidHeaderValue")),
        ({"x_ms_meta_": "v"}, (400, "EmptyMetadataKey")),
    ],
    ids=["md5", "type", "etags", "conditions", "date", "metadata"],
)
def test_puts_that_cannot_be_are_refused(wire: Wire, headers: dict[str, str], expected: tuple[int, str]) -> None:
    given = {"x_ms_blob_type": "BlockBlob", **headers}
    assert error(wire.ask("PUT", "/blob1", content=b"1", **given)) == expected
