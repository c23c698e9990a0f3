"""Writes rows in a process of its own, which may be killed. A line of input is URL, view, a file of rows, `instead`."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
from online_rows import store_at

from cloudmlops.domain.features import view_from_json

if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        url, view, rows, *instead = line.split()
        with pa.memory_map(rows) as file:
            table = pa.ipc.open_file(file).read_all()
            store = store_at(url)
            store.write(view_from_json(Path(view).read_text()), [table], instead=bool(instead))
            store.close()
        print("written", flush=True)
