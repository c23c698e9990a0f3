"""What the object stores promise, on a folder, and on S3 and Cloud Storage over HTTP."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from threading import Barrier, Thread

import pytest

from cloudmlops.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
)
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.storage.local import LocalStore
from cloudmlops.storage.opening import open_store

STRANGE_KEYS = ["a b", "ü/ß", "x%20y", "a~#?&+=.json", "ledger/models/churn/000000000001.json"]


def test_what_is_put_is_read_back(store: ObjectStore) -> None:
    for key in STRANGE_KEYS:
        store.put(key, key.encode())
    store.put("a b", b"second")
    store.hint("hint", b"")

    assert [store.get(key) for key in STRANGE_KEYS[1:]] == [key.encode() for key in STRANGE_KEYS[1:]]
    assert store.get("a b") == b"second"
    assert store.get("hint") == b""
    assert list(store.list()) == sorted([*STRANGE_KEYS, "hint"])


def test_an_object_is_created_once(store: ObjectStore) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.get("a/b") == b"first"


def test_of_many_who_create_at_once_one_wins(store: ObjectStore) -> None:
    wins: list[tuple[int, int]] = []
    together = Barrier(4)

    def create(writer: int) -> None:
        together.wait()
        wins.extend((number, writer) for number in range(25) if store.create(f"race/{number}", str(writer).encode()))

    threads = [Thread(target=create, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(number for number, _ in wins) == list(range(25))
    assert all(store.get(f"race/{number}") == str(writer).encode() for number, writer in wins)


def test_listing_goes_by_prefix_in_order_and_after_a_key(store: ObjectStore) -> None:
    for key in ("a/b.json", "a/b/c", "a/bc", "a-b", "z"):
        store.put(key, b"")

    assert list(store.list("a/")) == ["a/b.json", "a/b/c", "a/bc"]
    assert list(store.list("a/b")) == ["a/b.json", "a/b/c", "a/bc"]
    assert list(store.list("a/b/")) == ["a/b/c"]
    assert list(store.list("a/", after="a/b.json")) == ["a/b/c", "a/bc"]
    assert list(store.list()) == ["a-b", "a/b.json", "a/b/c", "a/bc", "z"]
    assert list(store.list("nothing/")) == []


def test_what_is_not_there_is_said_so(store: ObjectStore, tmp_path: Path) -> None:
    store.delete("absent")

    assert not store.exists("absent")
    with pytest.raises(NotFoundError, match="there is no object 'absent'"):
        store.get("absent")
    with pytest.raises(NotFoundError, match="there is no object 'absent'"):
        store.download("absent", tmp_path / "out")


def test_files_go_up_and_down(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(6 << 20))

    store.upload("models/a/weights", source)
    store.download("models/a/weights", tmp_path / "copy")
    store.delete("models/a/weights")

    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert not store.exists("models/a/weights")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "../a", "a/../../b", "a\\b", "a\nb", "a/" + "b" * 256])
def test_a_key_that_could_leave_the_store_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be the key of an object"):
        store.put(key, b"")
    with pytest.raises(InvalidRequestError, match="cannot be the key of an object"):
        store.get(key)


def test_a_missing_bucket_is_named(remote: str) -> None:
    nowhere = open_store(f"{remote.partition(':')[0]}://no-such-bucket/x")

    # No `NotFoundError`, which a reader would take for an object that is not there, and nothing to try again.
    with pytest.raises(ConfigurationError, match=r"no-such-bucket[^\n]*\n.*make the "):
        nowhere.put("a", b"")


def test_a_service_at_another_address_is_opened_without_credentials(
    gs: str, gs_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_BASE_URL", "GOOGLE_BEARER_TOKEN"):
        monkeypatch.delenv(name)

    store = open_store(gs, endpoint=gs_address, anonymous=True)

    assert store.create("a", b"first")
    assert store.get("a") == b"first"


def test_an_endpoint_with_credentials_is_refused_without_telling_them() -> None:
    with pytest.raises(ConfigurationError, match="holds credentials") as refused:
        open_store("gs://bucket/x", endpoint="http://user:secret@127.0.0.1:1", anonymous=True)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("ftp://host/x", "is not the address of an object store"),
        ("s3://", "is not the address of an object store"),
        ("file://host/x", "names no folder of this machine"),
        ("s3://key:secret@bucket/x", "holds credentials"),
    ],
)
def test_a_wrong_address_is_refused(uri: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        open_store(uri)

    assert "secret" not in str(refused.value)


def test_a_store_without_unnamed_files_creates_as_well(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store._unnamed = False  # as on a system whose kernel or file system has none

    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.get("a/b") == b"first"
    assert list(store.list()) == ["a/b"]


def test_what_a_killed_writer_left_is_not_listed_and_is_swept_later(tmp_path: Path) -> None:
    scratch = tmp_path / ".tmp"
    scratch.mkdir()
    (scratch / "old").write_bytes(b"half")
    os.utime(scratch / "old", (0, 0))

    store = LocalStore(tmp_path)
    store.put("a", b"")

    assert list(store.list()) == ["a"]
    assert list(scratch.iterdir()) == []


def test_a_full_disk_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("kept", b"old")

    said = _with_file_size_limit(lambda: [_refusal(store.put), _refusal(store.create)])

    for message in said:
        assert "File too large" in message
        assert "Nothing was written" in message
    assert store.get("kept") == b"old"
    assert list(store.list()) == ["kept"]


def test_a_folder_that_may_not_be_written_is_said(read_only_folder: Path) -> None:
    with pytest.raises(PermissionDeniedError, match="cannot write object"):
        LocalStore(read_only_folder).put("a", b"")


def _refusal(write: object) -> str:
    with pytest.raises(QuotaExceededError) as refused:
        write("kept" if write.__name__ == "put" else "new", b"x" * 100_000)  # type: ignore[operator, attr-defined]
    return str(refused.value)


def _with_file_size_limit(work: object) -> list[str]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        return work()  # type: ignore[operator, no-any-return]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
