"""Loading an HTTP server: with `wrk` if it is on the path, else with a client of our own, which takes more of a core.

`python -m benchmarks.client ADDRESS BODY_FILE CONNECTIONS SECONDS` is that client.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.peers import OURS, Peer
from benchmarks.processes import ProcessFailedError

_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}", "rb"); wrk.body = file:read("*a"); file:close()
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('{{"p50_us": %f, "p99_us": %f, "per_s": %f, "errors": %d}}\\n',
    latency:percentile(50), latency:percentile(99), summary.requests / (summary.duration / 1e6),
    errors.status + errors.read + errors.connect + errors.timeout))
end
"""


def load(address: str, body: Path, *, connections: int, seconds: float) -> dict[str, float]:
    """Post `body` over and over; p50 and p99 in microseconds, and requests a second.

    Raises:
        ProcessFailedError: An answer was an error.
    """
    peer, folder = Peer(name=OURS), body.parent
    if seconds >= 1 and (wrk := shutil.which("wrk")):  # it knows whole seconds only
        script = body.with_suffix(".lua")
        script.write_text(_WRK_SCRIPT.format(body=body))
        command = [wrk, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "-s", str(script), address]
    else:
        command = [peer.python, "-m", __name__, address, str(body), str(connections), str(seconds)]
    finished = processes.run(command, environment=peer.environment(folder), folder=folder)
    figures: dict[str, float] = json.loads(finished.output.strip().splitlines()[-1])
    if figures["errors"]:
        raise ProcessFailedError(f"{figures['errors']:.0f} requests failed")
    return figures


async def _load(address: str, body: bytes, connections: int, seconds: float) -> dict[str, float]:
    url = urlsplit(address)
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    latencies: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def post() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        while (begun := time.perf_counter()) < end:
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = answer.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            latencies.append(time.perf_counter() - begun)
            errors += b" 200 " not in answer.partition(b"\r\n")[0]
        writer.close()

    await asyncio.gather(*(post() for _ in range(connections)))
    latencies.sort()
    count = len(latencies)
    return {
        "p50_us": latencies[count // 2] * 1e6,
        "p99_us": latencies[int(count * 0.99)] * 1e6,
        "per_s": count / seconds,
        "errors": errors,
    }


if __name__ == "__main__":
    _, _address, _body, _connections, _seconds = sys.argv
    print(json.dumps(asyncio.run(_load(_address, Path(_body).read_bytes(), int(_connections), float(_seconds)))))
