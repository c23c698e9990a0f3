from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cloudmlops as cm
from cloudmlops.errors import ConfigurationError, UnsupportedError


@pytest.fixture(autouse=True)
def no_target_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLOUDMLOPS_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)


def test_connecting_makes_nothing_before_first_use(tmp_path: Path) -> None:
    cm.connect(f"local://{tmp_path / 'here'}")

    assert not (tmp_path / "here").exists()


def test_a_variable_names_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMLOPS_TARGET", "local://from-variable")

    assert cm.connect().target.endswith("/from-variable")


def test_a_named_target_is_found_in_the_nearest_configuration_upwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cloudmlops.toml").write_text('target = "dev"\n[targets]\ndev = "local://a"\nprod = "local://b"\n')
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")

    assert cm.connect().target.endswith("/a")
    assert cm.connect("prod").target.endswith("/b")


def test_the_configuration_may_stand_in_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cloudmlops]\ntarget = "local://c"\n')

    assert cm.connect().target.endswith("/c")


def test_no_platform_named_says_the_three_ways_to_name_one() -> None:
    with pytest.raises(ConfigurationError, match="no platform was named") as caught:
        cm.connect()

    assert "CLOUDMLOPS_TARGET" in caught.value.hint
    assert "cloudmlops.toml" in caught.value.hint


def test_an_unknown_named_target_lists_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "cloudmlops.toml").write_text('[targets]\ndev = "local://a"\n')

    with pytest.raises(ConfigurationError, match=r"'live' in .*cloudmlops\.toml") as caught:
        cm.connect("live")

    assert "dev" in caught.value.hint


def test_an_unknown_provider_lists_those_installed() -> None:
    with pytest.raises(ConfigurationError, match="no provider is named 'moon'") as caught:
        cm.connect("moon://base")

    assert "local" in caught.value.hint


def test_configuration_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "cloudmlops.toml").write_text("target = ")

    with pytest.raises(ConfigurationError, match=r"cloudmlops\.toml is not valid TOML"):
        cm.connect()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("local://", "names no folder", id="no folder"),
        pytest.param("local://x?colour=red", "colour", id="unknown setting"),
        pytest.param("local://x?as_of=2013-01-01T00:00:00", "timezone", id="naive time"),
    ],
)
def test_a_malformed_target_is_refused_before_any_io(target: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        cm.connect(target)

    assert list(tmp_path.iterdir()) == []


def test_another_process_reaches_the_same_folder_through_the_target(tmp_path: Path) -> None:
    platform = cm.connect("local://with space?as_of=2013-06-01T00:00:00Z")
    platform._backends.objects.put("a/b", b"hello")

    code = "import cloudmlops, sys; sys.stdout.buffer.write(cloudmlops.connect()._backends.objects.get('a/b'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path.parent,
        env={**os.environ, "CLOUDMLOPS_TARGET": platform.target},
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"hello"
    assert platform._backends.feature_time().year == 2013


def test_a_memory_platform_is_gone_after_close() -> None:
    with cm.connect("local://:memory:") as platform:
        folder = platform.native
        platform._backends.objects.put("a", b"")
        assert isinstance(folder, Path)
        assert folder.is_dir()

    assert not folder.exists()


def test_a_forked_child_does_not_take_the_memory_platform_away() -> None:
    with cm.connect("local://:memory:") as platform:
        folder = platform.native
        code = "import os, cloudmlops; p = cloudmlops.connect('local://:memory:'); f = p.native; pid = os.fork()\n"
        code += "if pid: os.waitpid(pid, 0); assert f.is_dir(); print('kept')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout == "kept\n"
        assert isinstance(folder, Path)


def test_an_absent_capability_is_refused_with_reason_and_way_round(platform: cm.Platform) -> None:
    with pytest.raises(UnsupportedError, match=r"local has no endpoints\.mirror_traffic: an endpoint splits") as caught:
        platform.require(cm.Capability.MIRROR_TRAFFIC)

    assert "small share" in caught.value.hint


def test_acting_as_somebody_marks_the_name_as_self_declared(platform: cm.Platform) -> None:
    assert str(platform.acting_as("bob").actor) == "bob (self-declared)"
    assert str(platform.actor) != "bob (self-declared)"
