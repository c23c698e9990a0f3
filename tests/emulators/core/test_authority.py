from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from cloudmlops.emulators.core.authority import Authority


def test_many_threads_see_one_authority(tmp_path: Path) -> None:
    authority, together = Authority(tmp_path), Barrier(8)

    def first_use(number: int) -> tuple[Path, ssl.SSLContext]:
        together.wait()
        return authority.bundle, authority.context("a.example", http2=False)

    with ThreadPoolExecutor(8) as threads:
        seen = set(threads.map(first_use, range(8)))
    assert len(seen) == 1
    (bundle, _) = seen.pop()
    ssl.create_default_context(cafile=str(bundle))
