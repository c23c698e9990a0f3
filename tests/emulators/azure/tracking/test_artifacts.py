from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.storage.blob import BlobClient

if TYPE_CHECKING:
    from tests.emulators.azure.tracking.conftest import Tracking


def artifacts(tracking: Tracking, method: str, path: str, *, who: str = "owner", **more: Any) -> httpx.Response:
    return httpx.request(
        method,
        f"{tracking.azure.emulator.url}{path}",
        headers={"authorization": f"Bearer {tracking.token(who)}"},
        trust_env=False,
        **more,
    )


def of_run(tracking: Tracking, run: str) -> str:
    return f"/history/v1.0{tracking.azure.workspace_id}/experiments/Default/runs/{run}/artifacts"


def upload(tracking: Tracking, base: str, files: dict[str, bytes]) -> dict[str, Any]:
    sent = {"paths": [{"path": path} for path in files]}
    told: dict[str, Any] = artifacts(tracking, "POST", f"{base}/batch/metadata", json=sent).json()
    for path, content in told["artifactContentInformation"].items():
        with BlobClient.from_blob_url(content["contentUri"]) as blob:
            blob.upload_blob(files[path])
    return told


def test_files_of_a_run_are_uploaded_listed_and_read(tracking: Tracking) -> None:
    run = tracking.run()
    base = of_run(tracking, run)

    upload(tracking, base, {"model/MLmodel": b"flavors", "model/data/weights": b"0123", "note.txt": b"noted"})

    listed = artifacts(tracking, "GET", base).json()["value"]
    assert [one["path"] for one in listed] == ["model/MLmodel", "model/data/weights", "note.txt"]
    found = artifacts(tracking, "GET", f"{base}/contentinfo", params={"path": "note.txt"}).json()
    with BlobClient.from_blob_url(found["contentUri"]) as blob:
        assert blob.download_blob().readall() == b"noted"
    told = tracking.told("GET", "artifacts/list", run_id=run)
    assert told["root_uri"].endswith(f"/runs/{run}/artifacts")
    assert told["files"] == [{"path": "model", "is_dir": True}, {"path": "note.txt", "is_dir": False, "file_size": 5}]
    inner = tracking.told("GET", "artifacts/list", run_id=run, path="model")["files"]
    assert [one["path"] for one in inner] == ["model/MLmodel", "model/data"]


def test_an_artifact_that_is_there_is_not_overwritten(tracking: Tracking) -> None:
    base = of_run(tracking, tracking.run())
    upload(tracking, base, {"a.txt": b"first"})

    told = upload(tracking, base, {"a.txt": b"second", "b.txt": b"other"})

    assert list(told["artifactContentInformation"]) == ["b.txt"]
    assert "already exists" in told["errors"]["a.txt"]["error"]["message"]
    assert artifacts(tracking, "GET", f"{base}/contentinfo", params={"path": "c.txt"}).status_code == 404


@pytest.mark.parametrize(
    ("who", "expected"), [("reader", (200, 403)), ("scientist", (200, 200)), ("nobody", (403, 403))]
)
def test_who_may_read_and_write_artifacts_is_decided_by_roles(
    tracking: Tracking, who: str, expected: tuple[int, int]
) -> None:
    base = of_run(tracking, tracking.run())
    sent = {"paths": [{"path": "a.txt"}]}

    read = artifacts(tracking, "GET", base, who=who).status_code
    write = artifacts(tracking, "POST", f"{base}/batch/metadata", who=who, json=sent).status_code

    assert (read, write) == expected


def test_uploads_that_belong_to_no_run_have_a_place_of_their_own(tracking: Tracking) -> None:
    base = f"/artifact/v2.0{tracking.azure.workspace_id}/artifacts/LocalUpload/240101T000000-abc"

    upload(tracking, base, {"model/MLmodel": b"flavors"})

    assert [one["path"] for one in artifacts(tracking, "GET", base).json()["value"]] == ["model/MLmodel"]
    assert artifacts(tracking, "DELETE", f"{base}/metadata").status_code == 501
