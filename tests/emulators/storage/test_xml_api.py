"""The XML API through obstore, and on the wire."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import httpx
import obstore
import pytest
from google.cloud import storage
from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError
from obstore.store import GCSStore

from .conftest import BUCKET, Served

PART = 5 << 20


@pytest.fixture
def store(served: Served) -> GCSStore:
    """As our own object store is built."""
    return GCSStore(
        BUCKET,
        config={"base_url": served.url, "bearer_token": "anonymous"},
        client_options={"allow_http": True},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
    )


def test_an_object_is_put_read_listed_and_removed(store: GCSStore) -> None:
    written = obstore.put(store, "a/b c", b"0123456789", attributes={"Content-Type": "a/b", "k": "v"})

    found = obstore.get(store, "a/b c")
    assert bytes(found.bytes()) == b"0123456789"
    assert (found.attributes["Content-Type"], found.attributes["k"]) == ("a/b", "v")
    head = obstore.head(store, "a/b c")
    assert (head["size"], head["e_tag"], head["version"]) == (10, written["e_tag"], written["version"])
    assert bytes(obstore.get_range(store, "a/b c", start=2, end=5)) == b"234"
    assert [bytes(part) for part in obstore.get_ranges(store, "a/b c", starts=[0, 8], ends=[2, 10])] == [b"01", b"89"]
    assert [item["path"] for item in obstore.list(store).collect()] == ["a/b c"]
    obstore.delete(store, "a/b c")
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "a/b c")
    with pytest.raises(FileNotFoundError):
        obstore.delete(store, "a/b c")


def test_an_object_is_created_once_and_changed_by_who_has_seen_it(store: GCSStore) -> None:
    first = obstore.put(store, "a", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "a", b"2", mode="create")
    second = obstore.put(store, "a", b"2", mode=first)
    with pytest.raises(PreconditionError):
        obstore.put(store, "a", b"3", mode=first)

    assert bytes(obstore.get(store, "a").bytes()) == b"2"
    assert second["version"] != first["version"]


def test_what_is_known_is_not_sent_again(store: GCSStore) -> None:
    tag = obstore.put(store, "a", b"1")["e_tag"]

    assert bytes(obstore.get(store, "a", options={"if_match": tag}).bytes()) == b"1"
    with pytest.raises(PreconditionError):
        obstore.get(store, "a", options={"if_match": '"other"'})
    with pytest.raises(obstore.exceptions.NotModifiedError):
        obstore.get(store, "a", options={"if_none_match": tag})


def test_lists_are_folded_and_long_ones_come_in_pages(served: Served, store: GCSStore) -> None:
    for number in range(1005):
        served.objects.write(BUCKET, f"many/{number:04}", b"")
    served.objects.write(BUCKET, "one", b"")

    assert [item["path"] for item in obstore.list(store, offset="many/1002").collect()] == [
        "many/1003",
        "many/1004",
        "one",
    ]
    assert len(obstore.list(store, "many").collect()) == 1005
    folded = obstore.list_with_delimiter(store)
    assert (folded["common_prefixes"], [item["path"] for item in folded["objects"]]) == (["many"], ["one"])


def test_objects_are_copied_and_renamed(store: GCSStore) -> None:
    obstore.put(store, "a", b"1", attributes={"k": "v"})
    obstore.copy(store, "a", "b")
    with pytest.raises(AlreadyExistsError):
        obstore.copy(store, "a", "b", overwrite=False)
    obstore.rename(store, "a", "c")

    assert obstore.get(store, "b").attributes["k"] == "v"
    assert sorted(item["path"] for item in obstore.list(store).collect()) == ["b", "c"]


def test_a_large_object_goes_up_in_parts(served: Served, store: GCSStore, bucket: storage.Bucket) -> None:
    content = os.urandom(2 * PART + 3)

    obstore.put(store, "large", content, chunk_size=PART, use_multipart=True, attributes={"Content-Type": "a/b"})

    assert bytes(obstore.get(store, "large").bytes()) == content
    assert bucket.get_blob("large").content_type == "a/b"
    names = [call.operation for call in served.emulator.calls.list("storage/xml.multipart")]
    assert sorted(names) == ["xml.multipart.complete", "xml.multipart.initiate", *["xml.multipart.part"] * 3]


def initiated(http: httpx.Client) -> str:
    answer = http.post(f"/{BUCKET}/a?uploads", headers={"content-type": "a/b", "x-goog-meta-k": "v"})
    found = re.search("<UploadId>(.*)</UploadId>", answer.text)
    assert found
    return found[1]


def part(http: httpx.Client, upload: str, number: int, content: bytes) -> str:
    answer = http.put(f"/{BUCKET}/a", params={"partNumber": number, "uploadId": upload}, content=content)
    return answer.headers["etag"]


def completed(http: httpx.Client, upload: str, parts: list[tuple[int, str]]) -> httpx.Response:
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
    return http.post(f"/{BUCKET}/a", params={"uploadId": upload}, content=body)


def test_parts_are_listed_replaced_and_joined_in_order(http: httpx.Client, served: Served) -> None:
    upload = initiated(http)
    last, first = part(http, upload, 7, b"end"), part(http, upload, 2, b"x" * PART)
    part(http, upload, 7, b"end")
    last = part(http, upload, 7, b"END")

    listed = http.get(f"/{BUCKET}/a", params={"uploadId": upload}).text
    assert re.findall("<PartNumber>(.*?)</PartNumber>", listed) == ["2", "7"]
    assert f"<UploadId>{upload}</UploadId>" in http.get(f"/{BUCKET}?uploads").text
    assert completed(http, upload, [(2, first), (7, last)]).status_code == 200

    assert served.objects.read(BUCKET, "a") == b"x" * PART + b"END"
    shown = http.head(f"/{BUCKET}/a")
    assert (shown.headers["content-type"], shown.headers["x-goog-meta-k"]) == ("a/b", "v")
    assert "<Upload>" not in http.get(f"/{BUCKET}?uploads").text
    assert completed(http, upload, [(2, first)]).status_code == 404


def test_an_upload_that_many_complete_at_once_is_completed_by_one(http: httpx.Client, served: Served) -> None:
    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            upload = initiated(http)
            first = part(http, upload, 1, b"x" * 10)
            complete = partial(completed, http, upload, [(1, first)])
            answers = [one.result().status_code for one in [threads.submit(complete) for _ in range(4)]]
            assert sorted(answers) == [200, 404, 404, 404]
            assert served.objects.read(BUCKET, "a") == b"x" * 10


def test_parts_that_cannot_be_joined_are_refused(http: httpx.Client, served: Served) -> None:
    upload = initiated(http)
    first, second = part(http, upload, 1, b"small"), part(http, upload, 2, b"small")

    answers = [
        completed(http, upload, [(1, first), (2, second)]),
        completed(http, upload, [(2, second), (1, first)]),
        completed(http, upload, [(1, second)]),
        http.post(f"/{BUCKET}/a", params={"uploadId": upload}, content=b"no document"),
    ]

    codes = [re.findall("<Code>(.*)</Code>", answer.text) for answer in answers]
    assert codes == [["EntityTooSmall"], ["InvalidPartOrder"], ["InvalidPart"], ["MalformedXML"]]
    assert http.delete(f"/{BUCKET}/a", params={"uploadId": upload}).status_code == 204
    assert http.get(f"/{BUCKET}/a", params={"uploadId": upload}).status_code == 404
    assert not served.objects.exists(BUCKET, "a")


def test_sums_and_tags_are_checked(http: httpx.Client) -> None:
    wrong = http.put(f"/{BUCKET}/a", content=b"1", headers={"x-goog-hash": "md5=XUFAKrxLKna5cZ2REBfFkg=="})
    assert (wrong.status_code, "InvalidArgument" in wrong.text) == (400, True)

    made = http.put(f"/{BUCKET}/a", content=b"hello", headers={"content-md5": "XUFAKrxLKna5cZ2REBfFkg=="})

    assert made.headers["etag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert made.headers["x-goog-hash"] == "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg=="
    assert http.put(f"/{BUCKET}/a", content=b"", headers={"if-none-match": "*"}).status_code == 412
    assert http.put(f"/{BUCKET}/a", content=b"", headers={"if-match": '"other"'}).status_code == 412
    assert http.put(f"/{BUCKET}/b", content=b"", headers={"if-match": "*"}).status_code == 412
    assert http.put(f"/{BUCKET}/a", content=b"", headers={"if-match": made.headers["etag"]}).status_code == 200


def test_a_bucket_may_be_named_by_the_host(http: httpx.Client, served: Served) -> None:
    served.objects.write(BUCKET, "a/b", b"1")

    assert http.get("/a%2Fb", headers={"host": f"{BUCKET}.storage.googleapis.com"}).content == b"1"
    assert http.get(f"/{BUCKET}/a/b", headers={"host": "storage.googleapis.com"}).content == b"1"


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", f"/{BUCKET}/a?X-Goog-Signature=1", "signed URLs"),
        ("GET", f"/{BUCKET}/a?GoogleAccessId=me&Signature=1", "signed URLs"),
        ("GET", f"/{BUCKET}/a?acl", "?acl"),
        ("GET", f"/{BUCKET}?lifecycle", "?lifecycle"),
        ("PUT", "/new-bucket", "PUT of a bucket"),
        ("GET", "/", "list of buckets"),
    ],
)
def test_what_is_not_emulated_names_itself(http: httpx.Client, method: str, path: str, named: str) -> None:
    answer = http.request(method, path)

    assert answer.status_code == 501
    assert named in answer.text


def test_a_signed_address_of_googles_client_is_refused_by_name(http: httpx.Client, served: Served) -> None:
    answer = http.get(f"/{BUCKET}/a", params={"X-Goog-Algorithm": "GOOG4-RSA-SHA256", "X-Goog-Signature": "00"})

    assert "signed URLs are not emulated" in answer.text


def test_a_missing_bucket_is_told_from_a_missing_object(store: GCSStore, served: Served) -> None:
    config = {"base_url": served.url, "bearer_token": "anonymous"}
    nowhere = GCSStore("absent", config=config, client_options={"allow_http": True})

    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        obstore.get(nowhere, "a")
    with pytest.raises(FileNotFoundError, match="NoSuchKey"):
        obstore.get(store, "a")
    with pytest.raises((FileNotFoundError, GenericError), match="NoSuchBucket"):
        obstore.put(nowhere, "a", b"")
