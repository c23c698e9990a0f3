"""Rooms depend downwards, and what is not needed is not loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAVY = frozenset(
    [
        "cloudevents",
        "click",
        "duckdb",
        "mlflow",
        "numpy",
        "obstore",
        "opentelemetry",
        "pandas",
        "polars",
        "pyarrow",
        "pydantic",
        "pydantic_settings",
        "rich",
        "starlette",
        "uvicorn",
    ]
)


def loaded_by(program: str) -> list[str]:
    """Return the modules that a fresh interpreter has loaded after `program`."""
    reporting = f"{program}\nimport sys as _sys, json as _json\n_sys.stderr.write(_json.dumps(sorted(_sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", reporting], capture_output=True, text=True, check=True, env={"NO_COLOR": "1"}
    )
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return modules


def packages(modules: list[str]) -> set[str]:
    """Return the packages beside the standard library and what an installation adds to every interpreter."""
    before = set(loaded_by("pass"))
    return {module.partition(".")[0] for module in modules if module not in before} - set(sys.stdlib_module_names)


def test_the_import_contracts_are_kept() -> None:
    linter = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"

    done = subprocess.run([sys.executable, "-c", linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_importing_cloudmlops_loads_the_standard_library_and_little_of_that() -> None:
    modules = loaded_by("import cloudmlops")

    assert packages(modules) == {"cloudmlops"}
    assert [module for module in modules if module.startswith("cloudmlops")] == ["cloudmlops"]
    # Without `json`, which the test's own report loads.
    assert len([module for module in modules if not module.startswith("json")]) <= 120


@pytest.mark.parametrize("room", ["domain", "ports", "errors"])
def test_values_and_ports_load_the_standard_library_only(room: str) -> None:
    source = ROOT / "src" / "cloudmlops"
    files = [source / f"{room}.py"] if room == "errors" else sorted((source / room).rglob("*.py"))
    names = [
        ".".join(file.relative_to(source.parent).with_suffix("").parts).removesuffix(".__init__") for file in files
    ]

    modules = loaded_by("".join(f"import {name}\n" for name in names))

    assert packages(modules) == {"cloudmlops"}


def test_the_help_of_the_command_line_loads_click_alone() -> None:
    program = (
        "import sys\nfrom cloudmlops.cli import main\nsys.argv = ['cloudmlops', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )

    modules = loaded_by(program)

    assert packages(modules) == {"click", "cloudmlops"}


def test_connecting_loads_settings_and_no_engine() -> None:
    modules = loaded_by("import cloudmlops\ncloudmlops.connect('local://:memory:').close()")

    assert packages(modules) & HEAVY <= {"pydantic", "pydantic_settings"}


def test_publishing_an_event_loads_no_engine_and_no_cloudevents_library() -> None:
    program = """
import cloudmlops as cm
from datetime import UTC, datetime
with cm.connect("local://:memory:") as platform:
    platform.events.publish(cm.RunCompleted(platform="p", time=datetime.now(UTC), pipeline="p", run="r"))
"""
    modules = loaded_by(program)

    assert packages(modules) & HEAVY <= {"pydantic", "pydantic_settings", "opentelemetry"}
