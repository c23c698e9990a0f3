"""What counts as a run's source, and what the cache makes of changes to it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cloudmlops as cm
from cloudmlops import Platform
from cloudmlops.domain.pipelines import Pipeline
from cloudmlops.domain.runs import StepState
from cloudmlops.services.provenance import git_state

FLOW = """
import cloudmlops as cm
{imports}

@cm.step
def number() -> int:
    return {value}

@cm.pipeline
def flow() -> int:
    return number()
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / (name.replace("__in__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def outputs(folder: Path, *arguments: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_flow(folder: Path, imports: str, **variables: str) -> str:
    program = (
        f"import cloudmlops as cm; {imports}\n"
        "with cm.connect('local://platform') as platform:\n"
        "    run = platform.pipelines.run(flow, wait=True)\n"
        "    print(*run.outputs.values(), *(step.state for step in run.steps.values()))"
    )
    return outputs(folder, "-c", program, PYTHONPATH=os.pathsep.join([str(folder), *variables.values()])).strip()


def typed(text: str, **globals_: object) -> Pipeline[..., Any]:
    names: dict[str, object] = {"__name__": "a_session", "cm": cm, **globals_}
    exec(text, names)
    return names["flow"]


def in_process(platform: Platform, flow: Pipeline[..., Any]) -> tuple[object, list[StepState]]:
    run = platform.pipelines.run(flow, in_process=True)
    return run.outputs["output"], [step.state for step in run.steps.values()]


def test_typed_code_that_differs_in_a_constant_or_a_helper_runs_again(platform: Platform) -> None:
    first = FLOW.format(imports="def helper(): return 5", value="1")
    assert in_process(platform, typed(first)) == (1, [StepState.SUCCEEDED])
    assert in_process(platform, typed(first)) == (1, [StepState.CACHED])
    assert in_process(platform, typed(first.replace("return 1", "return 2"))) == (2, [StepState.SUCCEEDED])
    calling = first.replace("return 1", "return helper()")
    assert in_process(platform, typed(calling)) == (5, [StepState.SUCCEEDED])
    assert in_process(platform, typed(calling.replace("return 5", "return 6"))) == (6, [StepState.SUCCEEDED])


def test_typed_code_that_uses_an_object_of_unknown_content_is_not_cached(platform: Platform) -> None:
    text = FLOW.format(imports="", value="held.value")
    for _ in range(2):
        held = type("Held", (), {"value": 3})()
        assert in_process(platform, typed(text, held=held)) == (3, [StepState.SUCCEEDED])


def made(value: int) -> Pipeline[..., Any]:
    @cm.step
    def number() -> int:
        return value

    @cm.pipeline
    def flow() -> int:
        return number()

    return flow


def test_steps_that_a_function_makes_are_told_apart_by_what_they_enclose(platform: Platform) -> None:
    assert in_process(platform, made(1)) == (1, [StepState.SUCCEEDED])
    assert in_process(platform, made(2)) == (2, [StepState.SUCCEEDED])
    assert in_process(platform, made(1)) == (1, [StepState.CACHED])


@pytest.mark.parametrize(
    "line", ["from lib import constants", "import lib.constants as constants", "from lib.inner import constants"]
)
def test_a_change_in_a_folder_without_init_invalidates_the_cache(tmp_path: Path, line: str) -> None:
    inner = "from ..constants import NUMBER\n"
    write(tmp_path, flow=FLOW.format(imports=line, value="constants.NUMBER"), lib__in__inner__in__constants=inner)
    write(tmp_path, lib__in__constants="NUMBER = 1\n")
    assert run_flow(tmp_path, "from flow import flow") == "1 succeeded"
    assert run_flow(tmp_path, "from flow import flow") == "1 cached"
    write(tmp_path, lib__in__constants="NUMBER = 2\n")
    assert run_flow(tmp_path, "from flow import flow") == "2 succeeded"


def test_a_step_from_another_source_folder_is_not_cached(tmp_path: Path) -> None:
    flow = "import cloudmlops as cm\nfrom other import number\n"
    flow += "@cm.step\ndef same(x: int) -> int:\n    return x\n"
    flow += "@cm.pipeline\ndef flow() -> int:\n    return same(number())\n"
    there = tmp_path / "there"
    write(tmp_path / "here", flow=flow)
    for value, expected in (
        ("1", "1 succeeded succeeded"),
        ("1", "1 succeeded cached"),
        ("2", "2 succeeded succeeded"),
    ):
        write(there, other=FLOW.format(imports="", value=value))
        states = run_flow(tmp_path / "here", "from flow import flow", there=str(there)).split()
        assert [states[0], *sorted(states[1:], reverse=True)] == expected.split()


def test_source_that_git_does_not_know_makes_the_commit_dirty(tmp_path: Path) -> None:
    write(tmp_path, flow="", helper="")
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    for arguments in (("init", "-q"), ("add", "flow.py"), (*who, "commit", "-q", "-m", "a flow")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert git_state(tmp_path, ["flow.py"])[1] is False
    assert git_state(tmp_path, ["flow.py", "helper.py"])[1] is True


def test_steps_in_a_packages_main_module_run(tmp_path: Path) -> None:
    ending = """
if __name__ == "__main__":
    with cm.connect("local://platform") as platform:
        print(platform.pipelines.run(flow, wait=True).outputs)
"""
    write(tmp_path / "pkg", __init__="", __main__=FLOW.format(imports="", value="7") + ending)
    assert outputs(tmp_path, "-m", "pkg").strip() == "{'output': 7}"


def test_a_script_without_a_main_guard_is_told_to_add_one(tmp_path: Path) -> None:
    ending = """
with cm.connect("local://platform") as platform:
    platform.pipelines.run(flow, wait=True)
"""
    write(tmp_path, script=FLOW.format(imports="", value="7") + ending)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr
    assert len(list((tmp_path / "platform" / "runs").glob("flow-*"))) == 1
