"""Uploads in pieces: through Google's own client, and on the wire where a client would not err."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from google.api_core.exceptions import PreconditionFailed
from google.cloud import storage

from cloudmlops.emulators.core.faults import Fault, Refused

from .conftest import BUCKET, Served

PIECE = 1 << 18
INSERT = f"/upload/storage/v1/b/{BUCKET}/o"


def begun(http: httpx.Client, name: str = "a", **query: str) -> str:
    asked = {"uploadType": "resumable", "name": name, **query}
    answer = http.post(INSERT, params=asked, json={"metadata": {"k": "v"}}, headers={"x-upload-content-type": "a/b"})
    assert answer.status_code == 200
    return answer.headers["location"]


def sent(http: httpx.Client, session: str, content: bytes, span: str) -> httpx.Response:
    return http.put(session, content=content, headers={"content-range": f"bytes {span}"})


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("known", [True, False], ids=["known size", "unknown size"])
def test_an_upload_in_chunks_is_whole(bucket: storage.Bucket, tmp_path: Path, size: int, known: bool) -> None:
    content = os.urandom(size)
    (tmp_path / "content").write_bytes(content)
    blob = bucket.blob("a", chunk_size=PIECE)

    with (tmp_path / "content").open("rb") as file:
        if known:
            blob.upload_from_file(file, size=size, content_type="a/b")
        else:
            with blob.open("wb", content_type="a/b") as out:
                out.write(content)

    assert blob.download_as_bytes() == content
    assert bucket.get_blob("a").content_type == "a/b"


def test_a_large_file_goes_up_at_once_and_comes_down_in_pieces(bucket: storage.Bucket, tmp_path: Path) -> None:
    from google.cloud.storage import transfer_manager

    (tmp_path / "content").write_bytes(os.urandom(9 << 20))
    bucket.blob("a").upload_from_filename(tmp_path / "content")

    transfer_manager.download_chunks_concurrently(
        bucket.get_blob("a"), tmp_path / "copy", chunk_size=2 << 20, worker_type="thread", max_workers=2
    )

    assert (tmp_path / "copy").read_bytes() == (tmp_path / "content").read_bytes()


def test_parts_go_up_side_by_side(bucket: storage.Bucket, tmp_path: Path) -> None:
    from google.cloud.storage import transfer_manager

    (tmp_path / "content").write_bytes(os.urandom(11 << 20))
    blob = bucket.blob("folder/a b")
    blob.metadata = {"k": "v"}

    transfer_manager.upload_chunks_concurrently(
        str(tmp_path / "content"), blob, chunk_size=5 << 20, worker_type="thread", max_workers=2
    )

    found = bucket.get_blob("folder/a b")
    assert found.download_as_bytes() == (tmp_path / "content").read_bytes()
    assert found.metadata == {"k": "v"}


def test_how_far_an_upload_is_can_be_asked(http: httpx.Client) -> None:
    session = begun(http)

    assert (sent(http, session, b"", "*/*").status_code, sent(http, session, b"", "*/*").headers.get("range")) == (
        308,
        None,
    )
    first = sent(http, session, b"x" * PIECE, f"0-{PIECE - 1}/*")
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{PIECE - 1}")
    asked = sent(http, session, b"", f"*/{PIECE + 3}")
    assert (asked.status_code, asked.headers["range"]) == (308, f"bytes=0-{PIECE - 1}")
    last = sent(http, session, b"end", f"{PIECE}-{PIECE + 2}/{PIECE + 3}")
    assert (last.status_code, last.json()["size"], last.json()["contentType"]) == (200, str(PIECE + 3), "a/b")
    assert sent(http, session, b"", f"*/{PIECE + 3}").json() == last.json()


def test_a_chunk_may_be_sent_again_and_may_overlap(http: httpx.Client, served: Served) -> None:
    session = begun(http)
    sent(http, session, b"a" * PIECE, f"0-{PIECE - 1}/*")

    sent(http, session, b"a" * PIECE, f"0-{PIECE - 1}/*")
    done = sent(http, session, b"a" * PIECE + b"b" * 7, f"0-{PIECE + 6}/{PIECE + 7}")

    assert done.status_code == 200
    assert served.objects.read(BUCKET, "a") == b"a" * PIECE + b"b" * 7


def test_what_does_not_fill_a_piece_is_to_be_sent_again(http: httpx.Client, served: Served) -> None:
    session = begun(http)

    taken = sent(http, session, b"a" * (PIECE + 5), f"0-{PIECE + 4}/*")

    assert taken.headers["range"] == f"bytes=0-{PIECE - 1}"
    assert sent(http, session, b"b", f"{PIECE}-{PIECE}/{PIECE + 1}").status_code == 200
    assert served.objects.read(BUCKET, "a") == b"a" * PIECE + b"b"


@pytest.mark.parametrize(
    ("content", "span", "said"),
    [
        (b"x" * 10, f"{PIECE}-{PIECE + 9}/*", "exceeds already uploaded size of 0"),
        (b"x" * 10, "0-8/*", "does not have the 10 bytes"),
        (b"x" * 10, "0-9/5", "ends behind the upload's size"),
        (b"x" * 10, "zero", "Failed to parse Content-Range"),
    ],
)
def test_a_chunk_that_cannot_be_is_refused(http: httpx.Client, content: bytes, span: str, said: str) -> None:
    answer = sent(http, begun(http), content, span)

    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_an_upload_that_was_cancelled_or_is_a_week_old_is_gone(http: httpx.Client, served: Served) -> None:
    served.emulator.clock.freeze()
    cancelled, forgotten = begun(http), begun(http)

    assert http.delete(cancelled).status_code == 499
    served.emulator.clock.advance(timedelta(days=7, seconds=1))

    assert [sent(http, session, b"", "*/*").status_code for session in (cancelled, forgotten)] == [410, 410]


def test_the_answer_to_a_last_chunk_that_got_lost_is_asked_for_again(served: Served, bucket: storage.Bucket) -> None:
    """The client sees its connection cut after the object was made, asks how far it is, and finds it done."""
    content = os.urandom(2 * PIECE)
    served.emulator.faults.set(Fault(matching="storage/objects.insert", first=3, lose_response=True))
    blob = bucket.blob("a", chunk_size=PIECE)

    with blob.open("wb", if_generation_match=0) as out:
        out.write(content)

    assert bucket.get_blob("a").download_as_bytes() == content
    assert len(list(bucket.list_blobs(versions=True))) == 1


def test_a_chunk_is_sent_again_after_the_service_was_away(served: Served, bucket: storage.Bucket) -> None:
    away = Refused("UNAVAILABLE", "Backend Error")
    served.emulator.faults.set(Fault(matching="storage/objects.insert", first=2, times=2, refused=away))
    content = os.urandom(3 * PIECE)
    blob = bucket.blob("a", chunk_size=PIECE)

    with blob.open("wb", if_generation_match=0) as out:
        out.write(content)

    assert blob.download_as_bytes() == content


def test_who_was_faster_while_an_upload_went_on_is_not_overwritten(http: httpx.Client, served: Served) -> None:
    session = begun(http, ifGenerationMatch="0")
    served.objects.write(BUCKET, "a", b"faster")

    answer = sent(http, session, b"late", "0-3/4")

    assert answer.status_code == 412
    assert served.objects.read(BUCKET, "a") == b"faster"


def test_an_upload_that_cannot_end_well_is_refused_when_it_begins(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string(b"")

    with pytest.raises(PreconditionFailed):
        bucket.blob("a").create_resumable_upload_session(if_generation_match=0)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["line feeds", "carriage returns too"])
@pytest.mark.parametrize(
    "media",
    [b"", b"x\r", b"\r\n\r\n", b"--==", os.urandom(3 << 20)],
    ids=["nothing", "a carriage return", "line ends", "half a boundary", "much"],
)
def test_metadata_and_media_in_one_body_are_told_apart(
    http: httpx.Client, served: Served, newline: bytes, media: bytes
) -> None:
    lines = [
        b"--==0==",
        b"content-type: application/json",
        b"",
        b'{"name": "a"}',
        b"--==0==",
        b"content-type: a/b",
        b"",
    ]
    body = newline.join([*lines, media, b"--==0==--"])

    answer = http.post(
        INSERT,
        params={"uploadType": "multipart"},
        content=body,
        headers={"content-type": 'multipart/related; boundary="==0=="'},
    )

    assert (answer.status_code, answer.json()["contentType"]) == (200, "a/b")
    assert served.objects.read(BUCKET, "a") == media
