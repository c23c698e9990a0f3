"""moto's server: started from the shell, and answering S3 calls of boto3."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from benchmarks.measuring import latencies, resident_mib
from benchmarks.processes import free_port

_PATIENCE_S = 60


def measured(*, calls: int) -> dict[str, Any]:
    """Start the server and ask until it answers; then take the latencies of reading an object's description."""
    begun, port = time.perf_counter(), free_port()
    program = str(Path(sys.executable).with_name("moto_server"))
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=sys.stderr, stderr=subprocess.DEVNULL
    )
    try:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
        while not _answers(client):
            if server.poll() is not None or time.perf_counter() - begun > _PATIENCE_S:
                raise AssertionError("moto's server does not answer")
            time.sleep(0.005)
        answered_at = time.time()
        idle_mib = resident_mib(server.pid)
        client.create_bucket(Bucket="bench")
        client.put_object(Bucket="bench", Key="key", Body=b"value")
        reading = latencies(lambda _: client.head_object(Bucket="bench", Key="key"), calls)
    finally:
        server.kill()
        server.wait()
    return {"answered_at": answered_at, "idle_mib": idle_mib, "rest": reading}


def _answers(client: Any) -> bool:
    try:
        client.list_buckets()
    except BotoCoreError:
        return False
    return True
