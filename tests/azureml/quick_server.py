"""A container that is up at once: it scores the model of `write_scaling_model` with the standard library alone."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Scaling(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    factor = 1.0

    def do_GET(self) -> None:
        self.answer({"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        rows = body["input_data"]
        sys.stdout.write(f"scored {len(rows)} rows with {self.headers['azureml-model-deployment'] or 'no header'}\n")
        sys.stdout.flush()
        self.answer({"predictions": [self.factor * row[0] for row in rows]})

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve at the port that is the only argument."""
    (settings,) = Path(os.environ["AZUREML_MODEL_DIR"]).glob("**/scaling.json")
    given = json.loads(settings.read_text())
    if "fails" in given:
        raise RuntimeError(given["fails"])
    Scaling.factor = given["factor"]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Scaling).serve_forever()


if __name__ == "__main__":
    main()
