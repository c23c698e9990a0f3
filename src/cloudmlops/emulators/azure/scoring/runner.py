"""A program that serves a scoring script: `python -m cloudmlops.emulators.azure.scoring.runner SCRIPT --port N`.

The script's `init()` is called once, its `run(raw_data)` with the text of each request, as in the images of Azure
Machine Learning; what `run` returns is sent as JSON. An exception in `init` ends the program, one in `run` is a 500.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

HEALTH_ROUTE: Final = "/"
SCORING_ROUTE: Final = "/score"
_FAILED: Final = "An unexpected error occurred in scoring script. Check the logs for more info."


def main() -> None:
    """Load the script and serve it until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve a scoring script over HTTP.")
    parser.add_argument("script", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    run = load(given.script)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), _handler(run))
    server.daemon_threads = True
    _say(f"Server is ready: scoring {given.script.name}")
    server.serve_forever()


def load(script: Path) -> Callable[[str], Any]:
    """Import a scoring script and call its `init`; return its `run`.

    Raises:
        ImportError: There is no such script, or it has no `run`.
    """
    sys.path.insert(0, str(script.parent))
    specification = importlib.util.spec_from_file_location("entry_script", script)
    if specification is None or specification.loader is None or not script.is_file():
        raise ImportError(f"there is no scoring script {script}")
    module = importlib.util.module_from_spec(specification)
    sys.modules["entry_script"] = module
    specification.loader.exec_module(module)
    if not callable(getattr(module, "run", None)):
        raise ImportError(f"the scoring script {script.name} has no function run")  # noqa: TRY004 what is wrong is the script
    if callable(getattr(module, "init", None)):
        module.init()
    run: Callable[[str], Any] = module.run
    return run


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _handler(run: Callable[[str], Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == HEALTH_ROUTE:
                self._send(200, b"Healthy", "text/html; charset=utf-8")
            else:
                self._send(404, b"Not Found", "text/plain")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path.partition("?")[0] != SCORING_ROUTE:
                self._send(404, b"Not Found", "text/plain")
                return
            began = time.perf_counter()
            try:
                answer, status = json.dumps(run(body.decode())), 200
            except Exception:  # noqa: BLE001 the user's own, told in the log as the service does
                traceback.print_exc(file=sys.stdout)
                answer, status = json.dumps({"message": _FAILED}), 500
            sys.stdout.flush()
            told = {
                "x-ms-run-fn-exec-ms": f"{(time.perf_counter() - began) * 1000:.3f}",
                "x-ms-run-function-failed": str(status != 200),
            }
            self._send(status, answer.encode(), "application/json", told)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 http.server's name for it
            if self.command != "GET":
                _say(format % args)

        def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"content-type": kind, "content-length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    main()
