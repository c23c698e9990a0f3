"""Vertex AI's registry is others' too: whose a model is, and what becomes of records that somebody else has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloudmlops import connect
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import (
    ConfigurationError,
    ServiceError,
)
from cloudmlops.providers.vertex.mapping import models as mapping
from cloudmlops.testing.contract.models import in_production, written_model

from .conftest import Opened
from .model_versions import alias, fill, new, relabel, shown, uploaded_by_others, versions


def test_the_store_is_stamped_with_the_first_version(opened: Opened, project: str) -> None:
    backends = opened()
    assert backends.models.store("churn") is None
    backends.models.stamp("churn", backends.objects.uri)
    backends.models.create(new())

    assert backends.models.store("churn") == backends.objects.uri
    assert backends.models.stamped() == ["churn"]
    assert opened(prefix="other").models.store("churn") not in (None, opened(prefix="other").objects.uri)


def test_a_stamp_is_seen_under_a_default_version_that_others_uploaded(opened: Opened) -> None:
    backends, other = opened(), opened(prefix="other")
    backends.models.create(new())
    uploaded_by_others(backends, version_aliases=["default"])

    assert backends.models.store("churn") == backends.objects.uri
    assert other.models.store("churn") not in (None, other.objects.uri)
    assert backends.models.stamped() == other.models.stamped() == ["churn"]


def test_models_that_nobody_stamped_are_not_listed_as_such(opened: Opened) -> None:
    backends = opened()
    for model in ("fraud", "spam"):
        uploaded_by_others(backends, model_id=model)
    backends.models.create(new())

    assert backends.models.stamped() == ["churn"]


def test_a_store_that_is_not_the_model_s_is_refused_whichever_version_is_the_default(
    opened: Opened, tmp_path: Path
) -> None:
    backends = opened()
    artifact = written_model(tmp_path / "model")
    with connect(backends.settings.target) as platform, connect(opened(prefix="other").settings.target) as other:
        platform.models.register("churn", artifact)
        uploaded_by_others(backends, version_aliases=["default"])

        with pytest.raises(ConfigurationError, match="ledger of model 'churn' lies in another store"):
            other.models.register("churn", artifact)


def test_a_model_that_others_made_is_stamped_on_what_is_its_default_version(opened: Opened) -> None:
    backends = opened()
    uploaded_by_others(backends, model_id="churn")
    uploaded_by_others(backends, version_aliases=["default"], labels={"team": "fraud"})

    backends.models.stamp("churn", backends.objects.uri)
    backends.models.stamp("churn", "gs://another")

    first, second = versions(backends)
    assert not first.labels
    assert second.labels["team"] == "fraud"
    assert backends.models.store("churn") == backends.objects.uri
    assert backends.models.stamped() == ["churn"]


def test_an_alias_that_was_moved_by_hand_is_found_and_drawn_again(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        in_production(platform, "churn", written_model(tmp_path / "model"))
        platform.models.register("churn", tmp_path / "model")
        assert platform.models.verify("churn").ok
        alias(backends, "2", "production")

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert [problem.version for problem in found.problems] == ["1"]
    assert "the alias 'production' is on" in found.problems[0].message
    assert "models/churn@2; the ledger says 'production'" in found.problems[0].message
    assert repaired.ok
    assert [list(known.version_aliases) for known in versions(backends)] == [["default", "production"], []]


@pytest.mark.parametrize("in_use", [False, True])
def test_an_alias_on_a_version_that_is_not_ours_is_found_and_taken_from_it(
    opened: Opened, tmp_path: Path, in_use: bool
) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        artifact = written_model(tmp_path / "model")
        if in_use:
            in_production(platform, "churn", artifact)
        else:
            platform.models.register("churn", artifact)
        uploaded_by_others(backends, version_aliases=["production"])

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "the alias 'production' is on" in found.problems[0].message
    assert "models/churn@2" in found.problems[0].message
    assert repaired.ok
    first, second = versions(backends)
    assert ("production" in first.version_aliases) == in_use
    assert not second.version_aliases


def test_a_label_that_occurs_twice_is_found_and_stays_with_the_earlier_version(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        uploaded_by_others(backends, labels={**versions(backends)[0].labels, "team": "fraud"})

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")
        platform.models.promote("churn", "1", to=Stage.CANDIDATE)

    assert "models/churn@2 says that it is the same version" in found.problems[0].message
    assert repaired.ok
    first, second = versions(backends)
    assert first.labels["stage"] == "candidate"
    assert dict(second.labels) == {"team": "fraud"}


def test_a_copy_that_others_made_stays_when_the_version_is_deleted(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        uploaded_by_others(backends, labels={**versions(backends)[0].labels, "team": "fraud"})

        platform.models.delete("churn", "1")

        assert platform.models.verify("churn").ok
    (theirs,) = versions(backends)
    assert (theirs.version_id, dict(theirs.labels)) == ("2", {"team": "fraud"})


@pytest.mark.parametrize(
    "spoilt", [{"stage": "bogus"}, {"stage_rev": "x"}, {"cloudmlops-head": "x"}, {"cloudmlops-head-digest": "1"}]
)
def test_labels_that_cannot_be_read_are_found_and_drawn_again(
    opened: Opened, tmp_path: Path, spoilt: dict[str, str]
) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"), tags={"team": "growth"})
        before = dict(versions(backends)[0].labels)
        relabel(backends, before | spoilt)

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert [problem.version for problem in found.problems] == ["1"]
    assert "are not what this library wrote" in found.problems[0].message
    assert repaired.ok
    assert versions(backends)[0].labels["stage"] == "none"


def test_labels_that_were_wiped_are_drawn_again(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        in_production(platform, "churn", written_model(tmp_path / "model"))
        platform.models.tag("churn", "1", {"team": "growth"})
        relabel(backends, {"cost-centre": "7"})

        found = platform.models.verify("churn")
        repaired = platform.models.repair("churn")

    assert "the provider shows no record for churn@1" in found.problems[0].message
    assert repaired.ok
    labels = versions(backends)[0].labels
    assert {"team", "cost-centre", "stage", "cloudmlops-store"} < set(labels)
    assert list(versions(backends)[0].version_aliases) == ["default", "production"]


def test_tags_that_find_no_room_beside_the_labels_of_others_are_kept_beside(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        relabel(backends, fill(dict(versions(backends)[0].labels)))

        platform.models.tag("churn", "1", {"team": "growth"})
        for stage in (Stage.CANDIDATE, Stage.STAGING, Stage.PRODUCTION):
            platform.models.promote("churn", "1", to=stage)

        assert platform.models.verify("churn").ok
    (only,) = versions(backends)
    assert only.labels["stage"] == "production"
    assert "team" not in only.labels
    assert "production" in only.version_aliases
    assert backends.models.projected("churn")["1"].tags == {"team": "growth"}


def test_an_alias_is_drawn_even_when_the_labels_cannot_be(opened: Opened, tmp_path: Path) -> None:
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
    relabel(backends, fill({}))
    name = mapping.native_name(versions(backends)[0])

    with pytest.raises(ServiceError, match="No more than 64 labels"):
        backends.models.project("churn", [replace(shown(stage=Stage.PRODUCTION), native=name)])

    assert "production" in versions(backends)[0].version_aliases


def test_an_approval_by_one_who_may_not_draw_records_stands_and_is_drawn_by_the_next_writer(
    opened: Opened, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    with connect(opened().settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        vertex_emulator.cloud(GoogleCloud).access.deny("aiplatform.models.update")
        vertex_emulator.calls.clear()

        platform.acting_as("bob").models.approve("churn", "1", to=Stage.PRODUCTION, reason="good")

        assert len(vertex_emulator.calls.list("ModelService.UpdateModel")) == 1, "a refusal is not asked for again"
        assert platform.models.verify("churn").ok
        vertex_emulator.cloud(GoogleCloud).access.allow()
        platform.models.promote("churn", "1", to=Stage.CANDIDATE)
        assert platform.models.verify("churn").ok
