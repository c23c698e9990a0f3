from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cloudmlops as cm
from cloudmlops.errors import (
    ConfigurationError,
    InvalidMoveError,
    InvalidRequestError,
    NotFoundError,
    UnsupportedError,
)
from cloudmlops.testing.contract.models import written_model


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

    assert cm.connect().target == f"local://{tmp_path}/a"
    assert cm.connect("prod").target == f"local://{tmp_path}/b"


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


@pytest.mark.parametrize(("given", "seconds"), [("300", 300), ("0.5", 0.5), ("PT2M", 120)], ids=str)
def test_the_time_for_a_prediction_goes_with_the_target(given: str, seconds: float) -> None:
    target = cm.connect(f"local://x?prediction_timeout={given}").target

    assert cm.connect(target)._backends.settings.prediction_timeout.total_seconds() == seconds


@pytest.mark.parametrize("given", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_for_a_prediction_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="prediction_timeout"):
        cm.connect(f"local://x?prediction_timeout={given}")


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


def test_a_variable_does_not_forge_the_operating_systems_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pwd

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "mallory")

    assert str(cm.connect(f"local://{tmp_path}/here").actor) == pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize("name", ["", " ", "\udcff", "two\nlines"], ids=["empty", "blank", "surrogate", "lines"])
def test_an_actor_has_a_name_that_can_be_printed(name: str, platform: cm.Platform) -> None:
    with pytest.raises(InvalidRequestError, match="is not the name of an actor"):
        platform.acting_as(name)
    with pytest.raises(InvalidRequestError, match="is not the name of an actor"):
        cm.connect("local://here", actor=name)


def test_a_private_platform_does_not_write_into_the_store_that_a_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUDMLOPS_LOCAL_STORE", (tmp_path / "real").as_uri())

    with cm.connect("local://:memory:") as platform:
        platform._backends.objects.put("a", b"")
        assert cm.connect("local://folder")._backends.objects.uri == (tmp_path / "real").as_uri()

    assert not (tmp_path / "real").exists()


def test_a_closed_private_platform_says_so_and_does_not_come_back(tmp_path: Path) -> None:
    platform = cm.connect("local://:memory:")
    folder = Path(str(platform.native))
    platform.models.list()
    platform.close()

    for use in (lambda: platform.models.list(), lambda: platform._backends.objects, lambda: platform.target):
        with pytest.raises(InvalidRequestError, match="was closed"):
            use()
    assert not folder.exists()


def test_a_platform_stays_where_it_is_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = cm.connect("local://here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    platform._backends.objects.put("a", b"")

    assert (tmp_path / "here").is_dir()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_looking_into_a_misspelt_folder_does_not_make_it(tmp_path: Path) -> None:
    platform = cm.connect("local://mispelt")

    assert platform.models.list() == []
    with pytest.raises(NotFoundError, match="there is no model"):
        platform.models.get("churn", "1")
    assert not (tmp_path / "mispelt").exists()


def test_a_providers_settings_connect_too(tmp_path: Path) -> None:
    from cloudmlops.providers.local.settings import LocalSettings

    platform = cm.connect(LocalSettings(path=str(tmp_path / "here")))

    assert platform.address == f"local://{tmp_path / 'here'}"
    with pytest.raises(ConfigurationError, match="a int is not a target"):
        cm.connect(3)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("[polices]\nproduction = []", "unknown 'polices'"),
        ("policies = 3", "policies is not a table"),
        ("target = 3", "target is not a text"),
        ("targets = {dev = 1}", "targets is not a table of texts"),
        ("[policies]\nprod = [{requires_approvals = 1}]", "'prod' is not a stage"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused_when_connecting(
    written: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "cloudmlops.toml").write_text(written)

    with pytest.raises(ConfigurationError, match=fault):
        cm.connect("local://here")


def test_policies_of_the_configuration_are_those_that_were_there_when_connecting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cloudmlops.toml").write_text("[policies]\ncandidate = [{requires_approvals = 1}]")
    platform = cm.connect("local://here")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cloudmlops.toml").write_text("[policies]\narchived = []")
    monkeypatch.chdir(tmp_path / "elsewhere")
    platform.models.register("churn", written_model(tmp_path / "artifact"))

    with pytest.raises(InvalidMoveError, match="requires_approvals"):
        platform.models.promote("churn", "1", to="candidate")


def test_policies_for_a_stage_that_does_not_exist_are_refused_when_connecting() -> None:
    with pytest.raises(ConfigurationError) as refused:
        cm.connect("local://here", policies={"prod": [cm.RequiresApprovals(1)], "staging": ["rule"]})  # type: ignore[dict-item, list-item]

    assert "'prod' is not a stage" in str(refused.value)
    assert "staging: 'rule' is not a policy" in str(refused.value)


@pytest.mark.parametrize(
    "target",
    [
        "local://x?store=https://acct.blob.core.windows.net/c?sig=TOPSECRET",
        "local://x?store=s3a://KEY:TOPSECRET@bucket",
        "local://x?store=s3://KEY:TOPSECRET@bucket",
        "local://x?stor=s3://KEY:TOPSECRET@bucket",
    ],
)
def test_secrets_in_an_address_are_not_repeated_in_messages(target: str) -> None:
    import traceback

    with pytest.raises(ConfigurationError) as refused:
        cm.connect(target)._backends.objects.get("a")

    assert "TOPSECRET" not in "".join(traceback.format_exception(refused.value, limit=0))


def test_a_prefix_that_no_store_can_hold_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="it has an empty part"):
        cm.connect("local://x?store=s3://bucket/pre//fix").models.list()


def test_a_capability_that_does_not_exist_is_a_wrong_request(platform: cm.Platform) -> None:
    with pytest.raises(InvalidRequestError, match="'nonsense' is not a capability"):
        platform.require("nonsense")
