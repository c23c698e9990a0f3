"""What counts as a run's source, and what the cache makes of changes to it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

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


def failing(folder: Path, *arguments: str, **variables: str) -> str:
    with pytest.raises(AssertionError) as failure:
        outputs(folder, *arguments, **variables)
    return str(failure.value)


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


SAME = """
import cloudmlops as cm
from other import number

@cm.step
def same(x: int) -> int:
    return x

@cm.pipeline
def flow() -> int:
    return same(number())
"""


def test_source_of_several_folders_is_cached_and_a_change_in_any_counts(tmp_path: Path) -> None:
    here, there, third = (tmp_path / name for name in ("here", "there", "third"))
    write(here, flow=SAME)
    write(there, other=FLOW.format(imports="from values import VALUE", value="VALUE"))
    for value, expected in (("1", "succeeded"), ("1", "cached"), ("2", "succeeded")):
        write(third, values=f"VALUE = {value}\n")
        told = run_flow(here, "from flow import flow", there=str(there), third=str(third))
        assert told == f"{value} {expected} {expected}"
    archives = [ZipFile(file) for file in (here / "platform" / "objects" / "snapshots").iterdir()]
    assert [archive.namelist() for archive in archives] == [["0/flow.py", "1/other.py", "2/values.py"]] * 2


def test_a_run_is_resumed_with_the_source_of_all_its_folders(tmp_path: Path) -> None:
    here, there, gate = tmp_path / "here", tmp_path / "there", tmp_path / "gate"
    write(here, flow=SAME.replace("return x", f"open({str(gate)!r}); return x + 10"))
    write(there, other=FLOW.format(imports="", value="1").replace("@cm.step", "@cm.step(cache=False)"))
    program = "import sys; import cloudmlops as cm; from flow import flow\n"
    program += "with cm.connect('local://platform') as platform:\n"
    path = os.pathsep.join(map(str, (here, there)))
    start = "    run = platform.pipelines.run(flow, id='r').wait()"
    assert "FileNotFoundError" in failing(here, "-c", program + start, PYTHONPATH=path)
    write(here, flow=SAME.replace("return x", "return x + 20"))
    write(there, other=FLOW.format(imports="", value="2"))
    gate.touch()
    resume = "    print(platform.pipelines.get('r').resume(wait=True).outputs)"
    assert outputs(here, "-c", program + resume, PYTHONPATH=path).strip() == "{'output': 11}"


def test_two_imports_in_one_line_both_count_as_source(tmp_path: Path) -> None:
    write(tmp_path, flow=FLOW.format(imports="import os; import constants", value="constants.NUMBER"))
    for value, expected in (("1", "1 succeeded"), ("2", "2 succeeded")):
        write(tmp_path, constants=f"NUMBER = {value}\n")
        assert run_flow(tmp_path, "from flow import flow") == expected


def test_relative_folders_of_the_import_path_are_found_by_steps(tmp_path: Path) -> None:
    imports = "from importlib import import_module"
    write(tmp_path / "one", flow=FLOW.format(imports=imports, value="import_module('late').VALUE"))
    write(tmp_path / "two", late="VALUE = 8\n")
    program = "import cloudmlops as cm; from flow import flow\n"
    program += "with cm.connect('local://platform') as platform:\n"
    program += "    print(platform.pipelines.run(flow, wait=True).outputs['output'])"
    assert outputs(tmp_path, "-c", program, PYTHONPATH=os.pathsep.join(("one", "two"))).strip() == "8"


def test_a_step_that_imports_what_was_edited_while_the_run_went_on_is_not_cached(tmp_path: Path) -> None:
    flow = FLOW.format(imports="import os; from pathlib import Path", value="later()")
    flow += "\ndef later():\n"
    flow += "    if os.environ.get('EDITED'):\n        Path(os.environ['EDITED']).write_text('VALUE = 2')\n"
    flow += "    from values import VALUE\n    return VALUE\n"
    write(tmp_path, flow=flow, values="VALUE = 1")
    os.environ["EDITED"] = str(tmp_path / "values.py")
    try:
        assert run_flow(tmp_path, "from flow import flow") == "2 succeeded"
    finally:
        del os.environ["EDITED"]
    write(tmp_path, values="VALUE = 1")
    assert run_flow(tmp_path, "from flow import flow") == "1 succeeded"
    assert run_flow(tmp_path, "from flow import flow") == "1 cached"
    logs = [log.read_text() for log in (tmp_path / "platform" / "runs").glob("*/number.1/log.txt")]
    assert sum("the source was written to while the run went on" in log for log in logs) == 1


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
