from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.images import Image, Images
from cloudmlops.emulators.google.cloud import GoogleCloud


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


def test_the_last_pattern_that_fits_counts_and_what_was_said_can_be_forgotten(tmp_path: Path) -> None:
    images = Images(tmp_path)
    images.begin_with({"*/mine:*": Image.running(["sh", "-c", "given"])})

    images.let("*:2", Image.running(["sh", "-c", "said"]))
    said = [images.command(f"any/mine:{number}", [], []) for number in (1, 2)]
    images.reset()

    assert said == [["sh", "-c", "given"], ["sh", "-c", "said"]]
    assert images.command("any/mine:2", [], ["more"]) == ["sh", "-c", "given", "more"]
    assert list(images.all())[-1] == "*/mine:*"


def test_our_serving_image_is_known_from_the_start(tmp_path: Path) -> None:
    command = Images(tmp_path).command("europe-docker.pkg.dev/p/cloudmlops/serving:1.0", [], ["--port", "1"])

    assert command == [sys.executable, "-P", "-m", "cloudmlops.serving", "--port", "1"]


def test_an_interpreter_that_runs_for_an_image_is_its_interpreter_in_every_container(tmp_path: Path) -> None:
    own = tmp_path / "python3.12"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    images = Images(tmp_path / "images")
    images.let("mine", Image.running([str(own), "-m", "server"]))
    images.let("shell", Image.running(["sh", "-c", "true"]))

    assert images.command("mine", [], ["--fast"]) == [str(own), "-m", "server", "--fast"]
    assert images.command("mine", ["python3", "other.py"], []) == [str(own), "other.py"]
    assert images.of("shell") == Image(entrypoint=("sh", "-c", "true"))
    assert images.command("shell", ["python", "x.py"], []) == [sys.executable, "x.py"]


@pytest.mark.parametrize("command", [[], ["no-such-program-here", "-v"]])
def test_a_command_that_is_not_there_runs_for_no_image(command: list[str]) -> None:
    with pytest.raises(Refused, match="There is no program"):
        Image.running(command)


def test_another_process_says_what_runs_for_an_image(vertex_emulator: Emulator) -> None:
    control = f"{vertex_emulator.url}/-/emulator/google/images"

    def told(**asked: object) -> tuple[int, str]:
        answer = httpx.post(control, json=asked, trust_env=False, verify=False)
        return answer.status_code, answer.text

    assert told(pattern="*/mine:*", command=["sh", "-c", "true"])[0] == 200
    known = httpx.get(control, trust_env=False, verify=False).json()
    assert known["*/mine:*"] == {"python": sys.executable, "entrypoint": ["sh", "-c", "true"]}
    refused = [
        (told(pattern="*", command="sh -c true"), "command is a list of words"),
        (told(command=["sh"]), "pattern is wanted"),
        (told(pattern="*", command=["no-such-program-here"]), "There is no program"),
        (told(pattern="*", command=["sh"], user="me"), "unknown: user"),
    ]
    for (status, answer), said in refused:
        assert status == 400
        assert said in answer
    assert vertex_emulator.cloud(GoogleCloud).images.command("a/mine:1", [], []) == ["sh", "-c", "true"]
    vertex_emulator.reset()
    assert "*/mine:*" not in httpx.get(control, trust_env=False, verify=False).json()
