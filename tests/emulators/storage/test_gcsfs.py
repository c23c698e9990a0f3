"""gcsfs, through which pandas, dask and kfp read `gs://`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from .conftest import BUCKET, Served

if TYPE_CHECKING:
    import gcsfs


@pytest.fixture
def files(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[gcsfs.GCSFileSystem]:
    # Else it asks a gRPC service over TLS what kind of bucket it is, for a minute.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import gcsfs

    made = gcsfs.GCSFileSystem(project="p", token="anon", endpoint_url=served.url, skip_instance_cache=True)
    yield made
    session = made._session
    if session is not None:
        import asyncio

        asyncio.run_coroutine_threadsafe(session.close(), made.loop).result(10)


def test_files_are_written_read_listed_and_removed(files: gcsfs.GCSFileSystem) -> None:
    files.pipe(f"{BUCKET}/a/b c.txt", b"0123456789")
    with files.open(f"{BUCKET}/a/d.txt", "w") as file:
        file.write("text")

    assert files.cat(f"{BUCKET}/a/b c.txt") == b"0123456789"
    assert files.cat_file(f"{BUCKET}/a/b c.txt", start=2, end=4) == b"23"
    assert files.ls(f"{BUCKET}/a") == [f"{BUCKET}/a/b c.txt", f"{BUCKET}/a/d.txt"]
    assert files.glob(f"{BUCKET}/**/*.txt") == [f"{BUCKET}/a/b c.txt", f"{BUCKET}/a/d.txt"]
    assert files.info(f"{BUCKET}/a/d.txt")["size"] == 4
    files.cp(f"{BUCKET}/a/d.txt", f"{BUCKET}/e.txt")
    files.mv(f"{BUCKET}/e.txt", f"{BUCKET}/f.txt")
    assert files.exists(f"{BUCKET}/f.txt")
    files.rm(f"{BUCKET}/a", recursive=True)
    assert files.find(BUCKET) == [f"{BUCKET}/f.txt"]
    with pytest.raises(FileNotFoundError):
        files.cat(f"{BUCKET}/absent")


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # gcsfs hands aiohttp its buffer
def test_a_large_file_goes_up_in_chunks(files: gcsfs.GCSFileSystem) -> None:
    content = os.urandom(9 << 20)

    with files.open(f"{BUCKET}/large", "wb", block_size=5 << 20) as file:
        file.write(content)

    with files.open(f"{BUCKET}/large", "rb", block_size=1 << 20) as file:
        file.seek(1 << 20)
        assert file.read(100) == content[1 << 20 : (1 << 20) + 100]
    assert files.cat(f"{BUCKET}/large") == content


def test_a_file_that_must_be_new_is_refused_where_there_is_one(files: gcsfs.GCSFileSystem) -> None:
    files.pipe(f"{BUCKET}/a", b"1")

    with pytest.raises(FileExistsError):
        files.pipe(f"{BUCKET}/a", b"2", mode="create")

    assert files.cat(f"{BUCKET}/a") == b"1"


def test_buckets_are_made_and_removed(files: gcsfs.GCSFileSystem) -> None:
    files.mkdir("second")
    assert set(files.ls("")) == {f"{BUCKET}/", "second/"}

    files.rmdir("second")

    assert files.ls("", refresh=True) == [f"{BUCKET}/"]


def test_a_table_of_pandas_goes_there_and_back(files: gcsfs.GCSFileSystem) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})

    table.to_parquet(f"gs://{BUCKET}/table.parquet", filesystem=files)

    pd.testing.assert_frame_equal(pd.read_parquet(f"gs://{BUCKET}/table.parquet", filesystem=files), table)
