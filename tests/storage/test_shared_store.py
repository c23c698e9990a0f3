"""Two folders that share one object store, and processes that share a connection to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cloudmlops as cm
from cloudmlops.domain.events import StageChanged
from cloudmlops.testing.contract.models import in_production, written_model


@pytest.mark.parametrize("kind", ["folder", "s3", "gs"])
def test_folders_that_share_a_store_see_one_registry_and_handle_each_event_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = (tmp_path / "store").as_uri() if kind == "folder" else request.getfixturevalue(kind)
    one, two = (cm.connect(f"local://{tmp_path}/{name}?store={store}") for name in "ab")
    in_production(one, "churn", written_model(tmp_path / "artifact"))
    handled: list[int] = []
    two.models.tag("churn", "1", {"seen": "by b"})
    two.models.outbox.flush("churn")

    for platform in (one, two):
        platform.events.on(StageChanged, handler="moved")(lambda event, _: handled.append(event.sequence))
        platform.events.process()

    assert sorted(handled) == [3, 4, 5]
    assert one.models.verify("churn").ok
    assert two.models.verify("churn").ok


def test_a_step_reaches_the_store_that_its_module_used_when_it_was_imported(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"local://{tmp_path}/plat?store={s3}"
    flow = f"""
import cloudmlops as cm

KNOWN = len(cm.connect({target!r}).models.list())

@cm.step(cache=False)
def count() -> int:
    return len(cm.connect().models.list())

@cm.pipeline
def store_at_import() -> int:
    return count()
"""
    (tmp_path / "store_flow.py").write_text(flow)
    (tmp_path / "pyproject.toml").write_text("")
    program = (
        "import sys, store_flow, cloudmlops as cm; from datetime import timedelta; "
        "run = cm.connect(sys.argv[1]).pipelines.run(store_flow.store_at_import); "
        "run.wait(timeout=timedelta(seconds=40), progress=False); print(run.outputs['output'])"
    )
    monkeypatch.chdir(tmp_path)

    ended = subprocess.run(
        [sys.executable, "-c", program, target], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.stdout == "0\n", ended.stderr


def test_a_forked_process_is_told_that_it_cannot_use_its_parents_store(s3: str, tmp_path: Path) -> None:
    program = """
import os, sys
import cloudmlops as cm
target = sys.argv[1]
cm.connect(target).models.list()
child = os.fork()
if child == 0:
    try:
        cm.connect(target).models.list()
    except ConnectionError as error:
        os._exit(7 if "forked" in str(error) else 1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    target = f"local://{tmp_path}/plat?store={s3}"

    ended = subprocess.run(
        [sys.executable, "-c", program, target], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.stdout == "7\n", ended.stderr
