"""What the service keeps in its folder, and what the emulator's other services see of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from cloudmlops.emulators.core.faults import Refused

from .conftest import BUCKET, Served, serve

_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import conftest
for served in conftest.serve(Path(sys.argv[1])):
    print(served.url, flush=True)
    sys.stdin.read()
"""


def killed_amid_writes(state: Path, after: int) -> dict[str, bytes]:
    """Write the same few objects over and over, kill the service, and return what it had acknowledged last."""
    folder = str(Path(__file__).parent)
    acknowledged: dict[str, bytes] = {}
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(state), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        url = service.stdout.readline().strip()
        killer = Thread(target=lambda: (enough.wait(), service.kill()))
        enough = Event()
        killer.start()
        try:
            with httpx.Client(base_url=url, trust_env=False, verify=False) as http:
                for number in range(10_000):
                    name, content = f"{number % 3}", f"{number}".encode()
                    http.put(f"/{BUCKET}/{name}", content=content).raise_for_status()
                    acknowledged[name] = content
                    if number == after:
                        enough.set()
        except httpx.TransportError:
            pass
        finally:
            enough.set()
            killer.join()
    return acknowledged


@pytest.mark.parametrize("after", [20, pytest.param(200, marks=pytest.mark.conformance)])
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, after: int) -> None:
    acknowledged = killed_amid_writes(tmp_path, after)

    for again in serve(tmp_path):
        kept = {name: again.objects.read(BUCKET, name) for name in again.objects.list(BUCKET)}
        assert kept.keys() == acknowledged.keys()
        # The write that was under way may have been done.
        assert all(int(kept[name]) in (int(last), int(last) + 3) for name, last in acknowledged.items())
        assert len(list((tmp_path / "storage" / "content").iterdir())) == len(kept)


def test_objects_and_uploads_are_there_again_after_a_restart(tmp_path: Path) -> None:
    query = {"uploadType": "resumable", "name": "late"}
    for first in serve(tmp_path):
        first.objects.write(BUCKET, "a", b"1")
        generation = first.objects.write(BUCKET, "a", b"2")
        session = httpx.post(
            f"{first.url}/upload/storage/v1/b/{BUCKET}/o", params=query, trust_env=False, verify=False
        ).headers["location"]
        begun = httpx.put(
            session,
            content=b"x" * (1 << 18),
            headers={"content-range": "bytes 0-262143/262147"},
            trust_env=False,
            verify=False,
        )
        assert begun.status_code == 308

    for second in serve(tmp_path):
        assert second.objects.read(BUCKET, "a") == b"2"
        assert second.objects.write(BUCKET, "a", b"3") > generation
        session = session.replace(first.url, second.url)
        done = httpx.put(
            session,
            content=b"last",
            headers={"content-range": "bytes 262144-262147/262147"},
            trust_env=False,
            verify=False,
        )
        assert done.status_code == 400  # four bytes where three were announced
        done = httpx.put(
            session,
            content=b"end",
            headers={"content-range": "bytes 262144-262146/262147"},
            trust_env=False,
            verify=False,
        )
        assert done.json()["size"] == "262147"
        assert second.objects.read(BUCKET, "late") == b"x" * (1 << 18) + b"end"


def test_bytes_that_nothing_refers_to_are_swept_at_the_start(tmp_path: Path) -> None:
    content = tmp_path / "storage" / "content"
    for first in serve(tmp_path):
        first.objects.write(BUCKET, "a", b"1")
    (content / "left-by-a-killed-process").write_bytes(b"half")

    for second in serve(tmp_path):
        assert second.objects.read(BUCKET, "a") == b"1"
        assert len(list(content.iterdir())) == 1


def test_other_services_read_and_write_what_clients_do(served: Served, http: httpx.Client, tmp_path: Path) -> None:
    objects = served.objects
    (tmp_path / "source").write_bytes(b"from a file")
    objects.write(BUCKET, "folder/a", tmp_path / "source", content_type="a/b")
    http.put(f"/{BUCKET}/folder/b", content=b"from a client")

    assert http.get(f"/{BUCKET}/folder/a").headers["content-type"] == "a/b"
    assert objects.read(BUCKET, "folder/b") == b"from a client"
    assert objects.path_of(BUCKET, "folder/b").read_bytes() == b"from a client"
    assert objects.list(BUCKET, "folder/") == ["folder/a", "folder/b"]
    assert (objects.location(BUCKET), objects.location("absent")) == ("US-CENTRAL1", None)
    objects.delete(BUCKET, "folder/a")
    assert not objects.exists(BUCKET, "folder/a")
    for ask in (objects.read, objects.path_of, objects.delete):
        with pytest.raises(Refused, match="No such object"):
            ask(BUCKET, "folder/a")
    with pytest.raises(Refused, match="bucket does not exist"):
        objects.list("absent")


def test_a_write_that_is_refused_leaves_no_bytes(served: Served, http: httpx.Client) -> None:
    served.objects.write(BUCKET, "a", b"1")

    answers = [
        http.put(f"/{BUCKET}/a", content=b"2", headers={"x-goog-if-generation-match": "0"}),
        http.put(f"/{BUCKET}/b", content=b"2", headers={"content-md5": "AAAA"}),
        http.put("/absent/b", content=b"2"),
        http.put(f"/{BUCKET}/a%0Ab", content=b"2"),
    ]

    assert [answer.status_code for answer in answers] == [412, 400, 404, 400]
    assert len(list((served.emulator.state.folder / "storage" / "content").iterdir())) == 1


def test_each_call_is_kept_under_the_name_of_its_operation(served: Served, http: httpx.Client) -> None:
    http.put(f"/{BUCKET}/a", content=b"1")
    http.get(f"/storage/v1/b/{BUCKET}/o/a")
    http.get(f"/storage/v1/b/{BUCKET}/o/absent")

    kept = [(call.name, call.status) for call in served.emulator.calls.list()]

    assert kept == [
        ("storage/objects.insert", "OK"),
        ("storage/objects.get", "OK"),
        ("storage/objects.get", "NOT_FOUND"),
    ]
