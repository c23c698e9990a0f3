"""A model behind a local endpoint's address, until stdin ends: `… PLATFORM MODEL_FOLDER`.

Prints one line of JSON: the address, and the seconds from the call of deploy until the deployment serves.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import cloudmlops as cm


def main(target: str, folder: Path) -> None:
    with cm.connect(target) as platform:
        version = platform.models.register("bench", cm.Model.from_path(folder))
        begun = time.perf_counter()
        platform.endpoints.deploy(version, to="bench").wait(timeout=timedelta(seconds=60))
        start_s = time.perf_counter() - begun
        try:
            print(json.dumps({"address": platform.endpoints.status("bench").address, "start_s": start_s}), flush=True)
            sys.stdin.read()
        finally:
            platform.endpoints.delete("bench")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
