"""What the model registry refuses before it reads or writes, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cloudmlops as cm
from cloudmlops.errors import ConfigurationError, ConflictError, InvalidMoveError, InvalidRequestError, ServiceError
from cloudmlops.services.registry import files as model_files
from cloudmlops.testing.contract.models import in_production, written_model


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "artifact")


@pytest.fixture
def registered(platform: cm.Platform, artifact: Path) -> Iterator[cm.Platform]:
    platform.models.register("churn", artifact)
    yield platform
    assert len(platform.models.history("churn")) == 2, "nothing was written"


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda p: p.models.promote("churn", "1", to="candidate", reason="\udcff"), id="reason"),
        pytest.param(lambda p: p.models.promote("churn", "1", to="candidate", expect="\udcff"), id="expect"),
        pytest.param(lambda p: p.models.rollback("churn", reason="\udcff"), id="rollback"),
        pytest.param(lambda p: p.models.delete("churn", "1", reason="\udcff"), id="delete"),
        pytest.param(lambda p: p.acting_as("bob").models.approve("churn", "1", to="none"), id="approve for none"),
        pytest.param(lambda p: p.models.get("churn", 1), id="version as a number"),
        pytest.param(
            lambda p: p.models.promote("churn", "1", to="candidate", evidence={"reports": "https://x"}), id="reports"
        ),
        pytest.param(
            lambda p: p.models.promote("churn", "1", to="candidate", evidence={"metrics": None}), id="metrics"
        ),
        pytest.param(lambda p: p.models.promote("churn", "1", to="candidate", evidence={"run": 5}), id="run"),
        pytest.param(
            lambda p: p.models.promote("churn", "1", to="candidate", evidence=cm_evidence(float("inf"))), id="infinite"
        ),
    ],
)
def test_a_request_that_no_entry_could_hold_is_refused(
    registered: cm.Platform, ask: Callable[[cm.Platform], object]
) -> None:
    with pytest.raises(InvalidRequestError):
        ask(registered)


def cm_evidence(value: float) -> Any:
    from cloudmlops.domain.ledger import Evidence

    return Evidence(metrics={"auc": value})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"card": "\udcff"}, "the card is .* not valid Unicode"),
        ({"request": "\udcff"}, "the request is .* not valid Unicode"),
        ({"run": 5}, "5 is not a run"),
        ({"metrics": {"n": 10**400}}, "not a finite number"),
        ({"signature": {"input": []}}, "'input'"),
        ({"signature": 3}, "the signature is not one: int"),
    ],
    ids=["card", "request", "run", "huge", "part", "type"],
)
def test_a_registration_that_could_not_be_finished_reserves_nothing(
    platform: cm.Platform, artifact: Path, given: dict[str, Any], fault: str
) -> None:
    with pytest.raises(InvalidRequestError, match=fault):
        platform.models.register("churn", artifact, **given)

    assert list(platform.models.ledger.names()) == []


def test_code_whose_names_cannot_be_kept_reserves_nothing(
    platform: cm.Platform, artifact: Path, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a\\b.py").write_text("")

    with pytest.raises(InvalidRequestError, match="backslash"):
        platform.models.register("churn", artifact, code=[tmp_path / "code"])

    assert list(platform.models.ledger.names()) == []


def test_numbers_of_numpy_are_metrics(platform: cm.Platform, artifact: Path) -> None:
    import numpy as np

    version = platform.models.register("churn", artifact, metrics={"auc": np.float32(0.5), "n": np.int64(3)})

    assert version.metrics == {"auc": 0.5, "n": 3.0}


def test_a_signature_is_written_into_the_copy_of_a_model_that_has_none(
    platform: cm.Platform, artifact: Path, tmp_path: Path
) -> None:
    (artifact / "MLmodel").write_text("flavors: {}\n")
    columns = [{"name": "age", "type": "long", "required": True}]

    version = platform.models.register("churn", artifact, signature={"inputs": columns})

    assert version.signature == {"inputs": columns}
    assert (artifact / "MLmodel").read_text() == "flavors: {}\n"
    kept = platform.models.download("churn", "1", to=tmp_path / "out")
    assert platform.models.register("churn", kept, signature={"inputs": columns}).signature == {"inputs": columns}
    with pytest.raises(InvalidRequestError, match="has another signature"):
        platform.models.register("churn", kept, signature={"inputs": [{"name": "x", "type": "long"}]})


def test_a_link_to_a_folder_within_the_model_is_refused_and_not_dropped(platform: cm.Platform, artifact: Path) -> None:
    (artifact / "again").symlink_to("data")
    (artifact / "loop").symlink_to("loop")

    with pytest.raises(InvalidRequestError, match="again is a link to a folder") as refused:
        platform.models.register("churn", artifact)
    assert "loop is neither a file nor a folder" in str(refused.value)


def test_a_file_that_changes_while_it_is_uploaded_makes_no_version(
    platform: cm.Platform, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, upload = platform._backends.objects, type(platform._backends.objects).upload

    def meanwhile(self: Any, key: str, source: Path) -> None:
        if source.name == "weights.bin":
            source.write_bytes(b"trained on")
        upload(self, key, source)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "upload", meanwhile)
        with pytest.raises(ConflictError, match=r"changed while they were uploaded.*data/weights\.bin"):
            platform.models.register("churn", artifact, request="nightly")

    assert platform.models.list() == []
    assert platform.models.register("churn", artifact, request="nightly").version == "1"


def test_of_two_attempts_at_one_request_with_different_files_the_first_is_what_can_be_downloaded(
    platform_on_disk: cm.Platform, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_files = written_model(tmp_path / "other", weights=b"other")
    upload = model_files.upload

    def overtaken(*args: Any) -> None:
        monkeypatch.setattr("cloudmlops.services.registry.registering.model_files.upload", upload)
        with cm.connect(platform_on_disk.target) as other:
            other.models.register("churn", other_files, request="nightly")
        upload(*args)

    monkeypatch.setattr("cloudmlops.services.registry.registering.model_files.upload", overtaken)
    version = platform_on_disk.models.register("churn", artifact, request="nightly")

    out = platform_on_disk.models.download("churn", version.version, to=tmp_path / "out")
    assert (out / "data" / "weights.bin").read_bytes() == b"other"
    kept = Path(str(platform_on_disk.native)) / "objects/models/churn/1"
    assert [path.read_bytes() for path in kept.rglob("weights.bin")] == [b"other"]


def test_a_rollback_to_a_version_that_lacks_one_file_is_refused(platform: cm.Platform, artifact: Path) -> None:
    in_production(platform, "churn", artifact)
    in_production(platform, "churn", artifact)
    next(Path(str(platform.native)).glob("objects/models/churn/1/*/data/weights.bin")).unlink()

    with pytest.raises(InvalidMoveError, match=r"data/weights\.bin"):
        platform.models.rollback("churn")
    assert platform.models.get("churn", stage="production").version == "2"


def test_a_rollback_with_a_stale_expectation_is_refused(platform: cm.Platform, artifact: Path) -> None:
    in_production(platform, "churn", artifact)
    in_production(platform, "churn", artifact)

    with pytest.raises(ConflictError, match="version 2 of model 'churn' is in production, not '1'"):
        platform.models.rollback("churn", expect="1")
    assert platform.models.rollback("churn", expect="2").version == "1"


def test_an_empty_folder_is_filled_where_it_is(
    platform: cm.Platform, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.models.register("churn", artifact)
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    before = (tmp_path / "here").stat().st_ino
    monkeypatch.chdir(tmp_path / "here")

    platform.models.download("churn", "1", to=".")

    assert (tmp_path / "here").stat().st_ino == before
    names = [{path.name for path in folder.iterdir()} for folder in (tmp_path / "link", artifact)]
    assert names[0] == names[1]


@pytest.mark.parametrize("name", ["artifact/MLmodel/x", "a" * 300], ids=["below a file", "too long"])
def test_a_folder_that_cannot_be_written_is_an_error_of_ours(
    platform: cm.Platform, artifact: Path, tmp_path: Path, name: str
) -> None:
    platform.models.register("churn", artifact)

    with pytest.raises(ServiceError, match="cannot write"):
        platform.models.download("churn", "1", to=tmp_path / name)


def test_a_moved_folder_and_a_link_to_it_are_the_same_platform(tmp_path: Path, artifact: Path) -> None:
    cm.connect(f"local://{tmp_path}/plat").models.register("churn", artifact)
    (tmp_path / "link").symlink_to("plat")

    assert cm.connect(f"local://{tmp_path}/link").models.get("churn", "1").version == "1"
    (tmp_path / "plat").rename(tmp_path / "moved")
    assert cm.connect(f"local://{tmp_path}/moved").models.get("churn", "1").version == "1"


def test_every_look_into_another_store_than_the_models_own_is_refused(tmp_path: Path, artifact: Path) -> None:
    cm.connect(f"local://{tmp_path}/plat").models.register("churn", artifact)

    looks: tuple[Callable[[cm.Platform], object], ...] = (
        lambda p: p.models.get("churn", "1"),
        lambda p: p.models.list("churn"),
        lambda p: p.models.history("churn"),
        lambda p: p.models.promote("churn", "1", to="candidate"),
    )
    for look in looks:
        other = cm.connect(f"local://{tmp_path}/plat?store=file://{tmp_path}/other")
        with pytest.raises(ConfigurationError, match="two ledgers would be two truths"):
            look(other)


def test_a_misspelt_model_leaves_nothing_behind(tmp_path: Path) -> None:
    platform = cm.connect(f"local://{tmp_path}/plat")

    for ask in (
        lambda: platform.models.promote("chrun", "1", to="candidate"),
        lambda: platform.models.delete("chrun", "1"),
    ):
        with pytest.raises(LookupError):
            ask()
    assert not (tmp_path / "plat" / "registry").exists()
