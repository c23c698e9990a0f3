"""Objects through Google's own client."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx
import pytest
from google.api_core.exceptions import BadRequest, NotFound, PreconditionFailed
from google.cloud import storage
from google.cloud.exceptions import GoogleCloudError

from .conftest import BUCKET, Served

STRANGE_NAMES = ["a b", "ü/ß", "x%20y", "a+b?c#d&e=f", "a/", "/a", "a//b", "~'\"<>;:", "日本/語"]


def test_an_object_is_what_was_written(bucket: storage.Bucket) -> None:
    for name in STRANGE_NAMES:
        blob = bucket.blob(name)
        blob.metadata = {"of": "ü"}
        blob.cache_control = "no-store"
        blob.upload_from_string(name.encode(), content_type="text/plain")

    assert sorted(blob.name for blob in bucket.list_blobs()) == sorted(STRANGE_NAMES)
    for name in STRANGE_NAMES:
        found = bucket.get_blob(name)
        assert found is not None
        assert found.download_as_bytes() == name.encode()
        assert (found.content_type, found.size, found.cache_control) == ("text/plain", len(name.encode()), "no-store")
        assert (found.metadata, found.metageneration, found.storage_class) == ({"of": "ü"}, 1, "STANDARD")
        assert found.time_created == found.updated


def test_ranges_are_read(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string(b"0123456789")

    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    assert blob.download_as_bytes(start=5, end=100) == b"56789"
    with pytest.raises(GoogleCloudError) as refused:
        blob.download_as_bytes(start=10)
    assert refused.value.code == 416
    with blob.open("rb", chunk_size=1 << 18) as file:
        file.seek(3)
        assert file.read(2) == b"34"


def test_metadata_is_patched_and_replaced(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.metadata = {"one": "1", "two": "2"}
    blob.upload_from_string(b"")
    blob.metadata = {"two": None, "three": "3"}
    blob.patch()
    assert (blob.metadata, blob.metageneration) == ({"one": "1", "three": "3"}, 2)

    blob.metadata = {"four": "4"}
    blob.content_type = "a/b"
    blob.update()

    blob.reload()
    assert (blob.metadata, blob.content_type, blob.metageneration) == ({"four": "4"}, "a/b", 3)


def test_each_writing_makes_a_new_generation_with_another_etag(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    seen = []
    for _ in range(3):
        blob.upload_from_string(b"same")
        seen.append((blob.generation, blob.etag))

    assert sorted(set(seen)) == seen
    assert len({etag for _, etag in seen}) == 3
    with pytest.raises(NotFound, match=f"No such object: {BUCKET}/a#{seen[0][0]}"):
        bucket.blob("a", generation=seen[0][0]).download_as_bytes()


@pytest.mark.parametrize(
    ("conditions", "absent", "present"),
    [
        ({"if_generation_match": 0}, True, False),
        ({"if_generation_match": 1}, False, False),
        ({"if_generation_match": "its"}, False, True),
        ({"if_generation_not_match": 0}, False, True),
        ({"if_generation_not_match": 1}, True, True),
        ({"if_generation_not_match": "its"}, True, False),
        ({"if_metageneration_match": 1}, False, True),
        ({"if_metageneration_match": 2}, False, False),
        ({"if_metageneration_not_match": 1}, True, False),
        ({"if_metageneration_not_match": 2}, True, True),
    ],
    ids=lambda value: "-".join(f"{key}={of}" for key, of in value.items()) if isinstance(value, dict) else str(value),
)
def test_preconditions_hold_for_writing(
    bucket: storage.Bucket, conditions: dict[str, int | str], absent: bool, present: bool
) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string(b"")
    generation = blob.generation
    numbers = {name: generation if value == "its" else value for name, value in conditions.items()}

    def done(name: str) -> bool:
        try:
            bucket.blob(name).upload_from_string(b"new", **numbers)
        except PreconditionFailed:
            return False
        return True

    assert (done("b"), done("a")) == (absent, present)
    if not present:
        assert blob.download_as_bytes() == b""


def test_preconditions_hold_for_reading_changing_and_deleting(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string(b"")
    wrong = blob.generation + 1

    asks: list[Callable[[], object]] = [
        lambda: blob.download_as_bytes(if_generation_match=wrong),
        lambda: bucket.get_blob("a", if_generation_match=wrong),
        lambda: blob.patch(if_metageneration_match=7),
        lambda: blob.update(if_metageneration_match=7),
        lambda: blob.delete(if_generation_match=wrong),
        lambda: blob.delete(if_metageneration_not_match=1),
    ]
    for ask in asks:
        with pytest.raises(GoogleCloudError) as refused:
            ask()
        assert refused.value.code == 412
    with pytest.raises(GoogleCloudError) as unchanged:
        blob.reload(if_generation_not_match=blob.generation)
    assert unchanged.value.code == 304
    blob.delete(if_generation_match=blob.generation)
    with pytest.raises(NotFound):
        blob.delete()


def test_a_versioned_bucket_keeps_what_was_there(bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    blob = bucket.blob("a")
    generations = []
    for content in (b"1", b"2", b"3"):
        blob.upload_from_string(content)
        generations.append(blob.generation)
    bucket.blob("a").delete()

    assert not bucket.blob("a").exists()
    assert list(bucket.list_blobs()) == []
    kept = list(bucket.list_blobs(versions=True))
    assert [found.generation for found in kept] == generations
    assert all(found.time_deleted for found in kept)
    assert [bucket.blob("a", generation=known).download_as_bytes() for known in generations] == [b"1", b"2", b"3"]
    bucket.copy_blob(kept[0], bucket, source_generation=generations[0])
    assert bucket.blob("a").download_as_bytes() == b"1"
    bucket.blob("a", generation=generations[1]).delete()
    assert generations[1] not in {found.generation for found in bucket.list_blobs(versions=True)}


def test_sums_are_checked(bucket: storage.Bucket) -> None:
    for name, value in (("md5_hash", "XUFAKrxLKna5cZ2REBfFkg=="), ("crc32c", "AAAAAA==")):
        blob = bucket.blob("a")
        setattr(blob, name, value)
        with pytest.raises(BadRequest, match="doesn't match calculated"):
            blob.upload_from_string(b"other", checksum=None)
    assert not bucket.blob("a").exists()
    blob = bucket.blob("a")
    for checksum in ("md5", "crc32c"):
        blob.upload_from_string(b"hello", checksum=checksum)
        assert blob.download_as_bytes(checksum=checksum) == b"hello"
    assert (blob.md5_hash, blob.crc32c) == ("XUFAKrxLKna5cZ2REBfFkg==", "mnG7TA==")


def test_objects_are_composed(bucket: storage.Bucket) -> None:
    parts = [bucket.blob(name) for name in ("a", "b")]
    for part in parts:
        part.upload_from_string(part.name * 3)
    whole = bucket.blob("whole")
    whole.content_type = "text/plain"

    whole.compose(parts)
    whole.compose([whole, parts[0]], if_generation_match=whole.generation)

    whole.reload()
    assert whole.download_as_bytes() == b"aaabbbaaa"
    assert (whole.component_count, whole.md5_hash, whole.content_type) == (3, None, "text/plain")
    with pytest.raises(NotFound, match=r"No such object: .*/absent"):
        whole.compose([bucket.blob("absent")])
    with pytest.raises(PreconditionFailed):
        whole.compose(parts, if_source_generation_match=[parts[0].generation, 1])
    with pytest.raises(BadRequest, match=r"components provided \(33\)"):
        whole.compose([parts[0]] * 33)


def test_objects_are_copied_and_renamed(client: storage.Client, bucket: storage.Bucket) -> None:
    other = client.create_bucket("other", location="us-central1")
    blob = bucket.blob("a")
    blob.metadata = {"k": "v"}
    blob.upload_from_string(b"content", content_type="a/b")

    copy = bucket.copy_blob(blob, other, "copy")
    bucket.rename_blob(blob, "renamed")

    assert other.get_blob("copy").content_type == "a/b"
    assert copy.metadata == {"k": "v"}
    assert [found.name for found in bucket.list_blobs()] == ["renamed"]
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(bucket.blob("renamed"), other, "copy", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(bucket.blob("renamed"), other, "copy", if_source_generation_match=1)


def test_an_object_is_moved_in_one_step(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string(b"content", content_type="a/b")
    bucket.blob("there").upload_from_string(b"")

    with pytest.raises(PreconditionFailed):
        client._post_resource(f"/b/{BUCKET}/o/a/moveTo/o/there", None, query_params={"ifGenerationMatch": 0})
    client._post_resource(f"/b/{BUCKET}/o/a/moveTo/o/b", None)

    assert [(blob.name, blob.content_type) for blob in bucket.list_blobs(prefix="b")] == [("b", "a/b")]
    assert bucket.blob("b").download_as_bytes() == b"content"
    assert not bucket.blob("a").exists()


def test_a_rewrite_that_moves_bytes_takes_several_calls(client: storage.Client, bucket: storage.Bucket) -> None:
    far = client.create_bucket("far", location="europe-west4")
    content = bytes(range(256)) * (10 << 10)
    bucket.blob("a").upload_from_string(content)
    path = f"/b/{BUCKET}/o/a/rewriteTo/b/far/o/b"

    def rewrite(**query: str) -> dict[str, object]:
        asked = {"maxBytesRewrittenPerCall": str(1 << 20), **query}
        return client._post_resource(path, {}, query_params=asked)  # type: ignore[no-any-return]

    first = rewrite()
    assert (first["done"], first["totalBytesRewritten"]) == (False, str(1 << 20))
    assert not far.blob("b").exists()
    second = rewrite(rewriteToken=str(first["rewriteToken"]))
    third = rewrite(rewriteToken=str(second["rewriteToken"]))

    assert third["done"]
    assert far.blob("b").download_as_bytes() == content
    with pytest.raises(BadRequest, match="rewrite token"):
        rewrite(rewriteToken="made-up")
    assert far.blob("b").rewrite(bucket.blob("a"))[0] is None


def test_packed_content_is_unpacked_for_who_cannot(bucket: storage.Bucket, http: httpx.Client) -> None:
    blob = bucket.blob("a")
    blob.content_encoding = "gzip"
    packed = gzip.compress(b"plain")
    blob.upload_from_string(packed, content_type="text/plain")

    assert blob.download_as_bytes() == b"plain"
    assert blob.download_as_bytes(raw_download=True) == packed
    asked = http.get(f"/storage/v1/b/{BUCKET}/o/a?alt=media", headers={"accept-encoding": "identity"})
    assert (asked.content, "content-encoding" in asked.headers) == (b"plain", False)


def test_the_parts_of_a_reply_that_were_asked_for_are_sent(http: httpx.Client, served: Served) -> None:
    for name in "ab":
        served.objects.write(BUCKET, name, b"1")

    listed = http.get(f"/storage/v1/b/{BUCKET}/o", params={"fields": "items(name,size),nextPageToken", "maxResults": 1})

    assert listed.json()["items"] == [{"name": "a", "size": "1"}]
    assert listed.json().keys() == {"items", "nextPageToken"}
    assert http.get(f"/storage/v1/b/{BUCKET}/o", params={"fields": "items(name"}).status_code == 400


def test_several_requests_go_in_one_batch(client: storage.Client, bucket: storage.Bucket) -> None:
    for name in ("a", "b c"):
        bucket.blob(name).upload_from_string(b"")
    known = bucket.blob("a")

    with client.batch():
        known.metadata = {"k": "v"}
        known.patch()
        bucket.delete_blob("b c")

    assert known.metageneration == 2
    assert [blob.name for blob in bucket.list_blobs()] == ["a"]
    with pytest.raises(NotFound, match="No such object"), client.batch():
        bucket.delete_blob("absent")
