from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from cloudmlops.emulators.google.aiplatform.pipelines.images import Images


def test_containers_that_begin_at_once_all_find_their_interpreter(tmp_path: Path) -> None:
    at_once = 8
    for round_ in range(20):
        images, begun = Images(tmp_path / str(round_)), Barrier(at_once)

        def first_program(images: Images = images, begun: Barrier = begun) -> Path:
            begun.wait()
            return Path(images.environment("any", {})["PATH"].partition(":")[0])

        with ThreadPoolExecutor(at_once) as pool:
            begun_programs = [pool.submit(first_program) for _ in range(at_once)]

        for found in begun_programs:
            assert (found.result() / "python3").read_text().startswith("#!/bin/sh")
