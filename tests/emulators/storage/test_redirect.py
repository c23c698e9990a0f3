"""Programs that know nothing of the emulator, and reach it under Google's own addresses."""

from __future__ import annotations

import subprocess
import sys

from .conftest import BUCKET, Served

_CLIENT = """
import sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
bucket = storage.Client(project="p", credentials=AnonymousCredentials()).bucket(sys.argv[1])
blob = bucket.blob("large", chunk_size=1 << 18)
blob.upload_from_string(b"x" * (9 << 20))
blob.reload()
print(len(blob.download_as_bytes()), blob.media_link.split("?")[0])
"""
_OBSTORE = """
import sys
import obstore
from obstore.store import GCSStore
store = GCSStore(sys.argv[1], config={"bearer_token": "any"})
print(obstore.put(store, "a", b"1", mode="create")["e_tag"], bytes(obstore.get(store, "a").bytes()))
"""


def run(served: Served, program: str) -> str:
    environment = served.emulator.environment()
    environment.pop("STORAGE_EMULATOR_HOST")
    ended = subprocess.run(
        [sys.executable, "-c", program, BUCKET],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_googles_client_and_obstore_come_here_without_a_word_about_it(served: Served) -> None:
    link = f"https://storage.googleapis.com/download/storage/v1/b/{BUCKET}/o/large"

    assert run(served, _CLIENT) == f"{9 << 20} {link}"
    assert run(served, _OBSTORE) == "\"c4ca4238a0b923820dcc509a6f75849b\" b'1'"
    assert served.emulator.refused == {}
