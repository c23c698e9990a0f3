"""The gcloud command, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import BUCKET, Served

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
]


def test_files_are_copied_listed_shown_and_removed(served: Served, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{served.url}/storage/v1/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_PROJECT": "p",
        "NO_GCE_CHECK": "true",
    }
    (tmp_path / "up").write_text("hello")

    def gcloud(*arguments: str) -> str:
        command = ["gcloud", "storage", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    gcloud("cp", str(tmp_path / "up"), f"gs://{BUCKET}/folder/a")
    gcloud("cp", f"gs://{BUCKET}/folder/a", f"gs://{BUCKET}/b")

    assert gcloud("cat", f"gs://{BUCKET}/b") == "hello"
    assert gcloud("ls", f"gs://{BUCKET}/**").split() == [f"gs://{BUCKET}/b", f"gs://{BUCKET}/folder/a"]
    gcloud("rm", "-r", f"gs://{BUCKET}/folder")
    assert served.objects.list(BUCKET) == ["b"]
