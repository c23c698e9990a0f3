"""What the model registry does with odd requests, lost steps and the files it is given."""

from __future__ import annotations

import json
import resource
import signal
import sys
from datetime import datetime
from pathlib import Path

import pytest

import cloudmlops as cm
from cloudmlops.domain.artifacts import workspace
from cloudmlops.domain.events import ModelRegistered, StageChanged
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.errors import InvalidRequestError, NotFoundError, QuotaExceededError
from cloudmlops.testing.contract.models import in_production, written_model


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "artifact")


def files_of(platform: cm.Platform, version: str = "1") -> Path:
    """Return the folder in the object store that holds the files of a version of churn."""
    (folder,) = (Path(str(platform.native)) / "objects/models/churn" / version).iterdir()
    return folder


def test_a_file_is_not_a_model(platform: cm.Platform, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"")

    with pytest.raises(InvalidRequestError, match=r"model.pkl is a file; a model is a folder in MLflow's format"):
        platform.models.register("churn", tmp_path / "model.pkl")


def test_a_plain_folder_is_not_a_model(platform: cm.Platform, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"holds no MLmodel file(.|\n)*mlflow\.\*\.save_model"):
        platform.models.register("churn", tmp_path)


def test_a_link_out_of_the_folder_is_refused(platform: cm.Platform, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (artifact / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(InvalidRequestError, match="link is a link that leads out of the folder"):
        platform.models.register("churn", artifact)


def test_an_unreadable_description_is_said(platform: cm.Platform, artifact: Path) -> None:
    (artifact / "MLmodel").write_text("a: [")

    with pytest.raises(InvalidRequestError, match="MLmodel cannot be read"):
        platform.models.register("churn", artifact)


def test_a_model_without_signature_has_none(platform: cm.Platform, artifact: Path) -> None:
    (artifact / "MLmodel").write_text("flavors: {}\n")

    assert platform.models.register("churn", artifact).signature == {}


def test_a_model_handle_is_registered_with_its_path(platform: cm.Platform, artifact: Path) -> None:
    assert platform.models.register("churn", cm.Model.from_path(artifact)).version == "1"


def test_the_same_files_by_hand_are_another_version(platform: cm.Platform, artifact: Path) -> None:
    assert [platform.models.register("churn", artifact).version for _ in range(2)] == ["1", "2"]


def test_a_step_that_runs_again_finds_what_it_registered(
    platform: cm.Platform, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDMLOPS_RUN", "run-1/flights/train")
    versions = []
    for attempt in range(2):
        token = workspace.set(artifact.parent / f"train.{attempt}")  # as the runtime does for each attempt
        written_model(artifact, weights=str(attempt).encode())  # training again makes other files
        made = []
        for _ in range(2):
            with cm.connect(platform.target) as inside:
                made.append(inside.models.register("churn", artifact))
        versions.append(made)
        workspace.reset(token)

    assert [[version.version for version in attempt] for attempt in versions] == [["1", "2"]] * 2
    assert versions[0][0].run == "run-1"


def test_a_link_to_nothing_is_refused(platform: cm.Platform, artifact: Path) -> None:
    (artifact / "link").symlink_to(artifact / "gone")

    with pytest.raises(InvalidRequestError, match="link is neither a file nor a folder"):
        platform.models.register("churn", artifact)


def test_a_registration_that_met_a_full_disk_is_not_a_version_and_can_be_finished(
    platform: cm.Platform, artifact: Path
) -> None:
    written_model(artifact, weights=b"x" * 100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(
            QuotaExceededError, match=r"cannot upload object 'models/churn/1/.*/data/weights.bin': File too"
        ):
            platform.models.register("churn", artifact)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert platform.models.list() == []
    with pytest.raises(NotFoundError, match=r"churn@1 was reserved by .* but never finished registering"):
        platform.models.promote("churn", "1", to="candidate")
    assert platform.models.register("churn", artifact).version == "1"


def test_a_version_or_a_stage_is_asked_for_and_not_both(platform: cm.Platform) -> None:
    for asked in ({}, {"version": "1", "stage": "production"}):
        with pytest.raises(InvalidRequestError, match="give a version or a stage"):
            platform.models.get("churn", **asked)


def test_a_time_without_zone_is_refused(platform: cm.Platform, artifact: Path) -> None:
    platform.models.register("churn", artifact)

    with pytest.raises(InvalidRequestError, match="has no time zone"):
        platform.models.at("churn", "production", datetime(2026, 1, 1))  # noqa: DTZ001 that is what is refused


def test_wrong_evidence_is_refused(platform: cm.Platform, artifact: Path) -> None:
    platform.models.register("churn", artifact)

    with pytest.raises(InvalidRequestError, match="evidence has no metrix"):
        platform.models.promote("churn", "1", to="candidate", evidence={"metrix": {}})
    with pytest.raises(InvalidRequestError, match="metric 'auc' is nan, not a finite number"):
        platform.models.promote("churn", "1", to="candidate", evidence={"metrics": {"auc": float("nan")}})


@pytest.mark.parametrize(
    "tags", [{"": "x"}, {"a": 1}, {1: "a"}, {"a": "\ud800"}], ids=["empty", "int", "key", "surrogate"]
)
def test_tags_are_texts(platform: cm.Platform, artifact: Path, tags: dict[str, str]) -> None:
    platform.models.register("churn", artifact)

    with pytest.raises(InvalidRequestError, match="names and values are texts"):
        platform.models.tag("churn", "1", tags)


def test_tagging_again_writes_nothing(platform: cm.Platform, artifact: Path) -> None:
    platform.models.register("churn", artifact, tags={"a": "1"})
    platform.models.tag("churn", "1", {"a": "1"})
    platform.models.untag("churn", "1", "b")

    assert len(platform.models.history("churn")) == 2


def test_approving_twice_is_one_approval(platform: cm.Platform, artifact: Path) -> None:
    platform.models.register("churn", artifact)
    bob = platform.acting_as("bob")

    assert bob.models.approve("churn", "1", to="production") == bob.models.approve("churn", "1", to="production")
    assert [entry.kind for entry in platform.models.history("churn")].count(EntryKind.APPROVED) == 1


def test_a_folder_that_holds_something_is_not_overwritten(
    platform: cm.Platform, artifact: Path, tmp_path: Path
) -> None:
    platform.models.register("churn", artifact)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")

    with pytest.raises(InvalidRequestError, match="out is not an empty folder"):
        platform.models.download("churn", "1", to=tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "mine"


def test_files_that_are_gone_are_said(platform: cm.Platform, artifact: Path, tmp_path: Path) -> None:
    platform.models.register("churn", artifact)
    (files_of(platform) / "cloudmlops_manifest.json").unlink()

    with pytest.raises(NotFoundError, match=r"the files of models/churn/1/.* are gone from file:"):
        platform.models.download("churn", "1", to=tmp_path / "out")


def test_a_downloaded_model_can_be_registered_again(platform: cm.Platform, artifact: Path, tmp_path: Path) -> None:
    platform.models.register("churn", artifact)
    downloaded = platform.models.download("churn", "1", to=tmp_path / "out")

    again = platform.models.register("copy", downloaded)

    assert platform.models.download("copy", again.version, to=tmp_path / "again").is_dir()


def test_features_and_the_code_of_on_demand_functions_go_with_the_model(
    platform: cm.Platform, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "shop_features"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "rates.py").write_text("RATE = 2.0\n")
    (package / "demand.py").write_text(
        "import cloudmlops as cm\nfrom shop_features.rates import RATE\n\n"
        "@cm.on_demand\ndef doubled(price):\n    return price * RATE\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    extra = tmp_path / "extra.py"
    extra.write_text("")
    from shop_features.demand import doubled  # type: ignore[import-not-found]

    try:
        service = cm.FeatureService("pricing", views=[], on_demand=[doubled], request={"price": float})
        version = platform.models.register("pricing", artifact, features=service, code=[extra])
    finally:
        for name in [name for name in sys.modules if name.startswith("shop_features")]:
            del sys.modules[name]

    folder = platform.models.download("pricing", version.version, to=tmp_path / "out")
    code = {path.relative_to(folder / "code").as_posix() for path in (folder / "code").rglob("*.py")}
    assert code == {"extra.py", "shop_features/__init__.py", "shop_features/demand.py", "shop_features/rates.py"}
    assert json.loads((folder / "cloudmlops_features.json").read_text())["name"] == "pricing"
    assert version.features is not None
    assert (version.features.name, version.features.schema_hash) == ("pricing", service.schema_hash)
    assert not (artifact / "code").exists()


def test_registering_and_moving_are_told_to_event_handlers(platform: cm.Platform, artifact: Path) -> None:
    told: list[object] = []
    platform.events.on(ModelRegistered, handler="registered")(
        lambda event, _: told.append((event.model, event.version))
    )
    platform.events.on(StageChanged, handler="moved")(lambda event, _: told.append(event.sequence))

    in_production(platform, "churn", artifact)
    platform.events.process()

    assert sorted(map(str, told)) == sorted(map(str, [("churn", "1"), 3, 4, 5]))


def test_a_model_of_another_process_is_seen_at_once(platform_on_disk: cm.Platform, artifact: Path) -> None:
    with cm.connect(platform_on_disk.target) as other:
        in_production(platform_on_disk, "churn", artifact)
        assert other.models.get("churn", stage="production").version == "1"
        in_production(platform_on_disk, "churn", artifact)
        assert other.models.get("churn", stage="production").version == "2"
        assert [version.model for version in other.models.list()] == ["churn", "churn"]


def test_the_operating_systems_user_acts_where_nobody_is_named(platform: cm.Platform, artifact: Path) -> None:
    import getpass

    registered = platform.models.register("churn", artifact)

    assert str(registered.registered_by) == getpass.getuser()
    assert str(platform.acting_as("bob").actor) == "bob (self-declared)"
