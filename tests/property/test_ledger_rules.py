"""Random lives of a model, against design section 6 told once more in the plainest way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudmlops.domain import ledger_rules as rules
from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.domain.ledger import (
    Entry,
    EntryKind,
    Evidence,
    Fold,
    Registration,
    Statement,
    extended,
    placed,
)
from cloudmlops.domain.ledger_json import digest_of, entry_from_json, entry_to_json, fold_from_json, fold_to_json
from cloudmlops.domain.models import FeatureServiceRef, Stage
from cloudmlops.domain.policies import RequiresApprovals
from cloudmlops.errors import CloudMLOpsError, UnexpectedReplyError

START = datetime(2026, 1, 1, tzinfo=UTC)
ACTORS = ("alice", "bob", "carol")
MOVES = {
    "none": {"candidate", "archived"},
    "candidate": {"staging", "archived"},
    "staging": {"production", "candidate", "archived"},
    "production": {"archived"},
    "archived": {"candidate"},
}


@dataclass
class Life:
    """What the design says, as a person would keep it on paper."""

    stages: dict[str, str] = field(default_factory=dict)
    registrars: dict[str, str] = field(default_factory=dict)
    approvals: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    displaced: list[str] = field(default_factory=list)
    """Left production because another one came, and not by a rollback."""

    @property
    def production(self) -> str | None:
        return next((version for version, stage in self.stages.items() if stage == "production"), None)

    def register(self, actor: str) -> bool:
        version = str(len(self.stages) + 1)
        self.stages[version] = "none"
        self.registrars[version] = actor
        return True

    def approve(self, version: str, actor: str) -> bool:
        given = self.approvals.setdefault((version, "production"), set())
        if version not in self.stages or version in self.deleted:
            return False
        if actor in given or actor == self.registrars[version]:
            return actor in given
        given.add(actor)
        return True

    def promote(self, version: str, to: str, actor: str) -> bool:
        if version not in self.stages or version in self.deleted or to not in MOVES[self.stages[version]]:
            return False
        if to == "production":
            if not self.approvals.get((version, to), set()) - {actor, self.registrars[version]}:
                return False
            if (before := self.production) is not None:
                self.stages[before] = "archived"
                self.displaced.append(before)
            self._enters_production(version)
        self.stages[version] = to
        return True

    def rollback(self) -> bool:
        if not self.displaced or self.displaced[-1] in self.deleted:
            return False
        back, before = self.displaced[-1], self.production
        if before is not None:
            self.stages[before] = "archived"
        self._enters_production(back)
        self.stages[back] = "production"
        return True

    def delete(self, version: str) -> bool:
        if version not in self.stages or version == self.production:
            return False
        self.deleted.add(version)
        return True

    def _enters_production(self, version: str) -> None:
        self.displaced = [other for other in self.displaced if other != version]


class Told:
    """The same life, told to the ledger's rules; every entry goes through its JSON."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.fold = Fold(model="churn")

    def say(self, said: Statement | None, actor: str) -> None:
        if said is None:
            return
        now = START + timedelta(seconds=len(self.entries))
        entry_id = f"{len(self.entries):032x}"
        entry = placed(said, self.fold, entry_id=entry_id, actor=Actor(id=actor), now=now)
        read = entry_from_json(entry_to_json(entry))
        assert replace(read, digest="") == entry
        self.entries.append(read)
        self.fold = extended(self.fold, [read])

    def register(self, actor: str) -> None:
        self.say(rules.reserving(self.fold, f"r{len(self.fold.versions)}", effect=None), actor)
        version = list(self.fold.versions)[-1]
        known = Registration(artifact_uri="file:///x/", manifest="0" * 64)
        self.say(rules.registering(self.fold, version, known), actor)

    def approve(self, version: str, actor: str) -> None:
        who = Actor(id=actor)
        self.say(rules.approving(self.fold, version, Stage.PRODUCTION, actor=who, reason=""), actor)

    def promote(self, version: str, to: str, actor: str) -> None:
        policies = [RequiresApprovals(1)] if to == "production" else []
        said = rules.moving(self.fold, version, Stage(to), actor=Actor(id=actor), reason="", policies=policies)
        self.say(said, actor)

    def rollback(self) -> None:
        self.say(rules.rolling_back(self.fold, reason=""), "alice")

    def delete(self, version: str) -> None:
        self.say(rules.deleting(self.fold, version), "alice")


VERSIONS = st.integers(1, 4).map(str)
ACTOR = st.sampled_from(ACTORS)
STEPS = st.one_of(
    st.tuples(st.just("register"), ACTOR),
    st.tuples(st.just("approve"), VERSIONS, ACTOR),
    st.tuples(st.just("promote"), VERSIONS, st.sampled_from(sorted(MOVES)), ACTOR),
    # What leads to production is likelier than chance, so that lives are long enough for rollbacks.
    st.tuples(st.just("release"), VERSIONS),
    st.tuples(st.just("rollback")),
    st.tuples(st.just("delete"), VERSIONS),
)


def steps_of(step: tuple[str, ...], life: Life) -> list[tuple[str, ...]]:
    if step[0] != "release":
        return [step]
    version = step[1]
    other = "carol" if life.registrars.get(version) == "bob" else "bob"
    return [
        ("promote", version, "candidate", "alice"),
        ("approve", version, other),
        ("promote", version, "staging", "alice"),
        ("promote", version, "production", "alice"),
    ]


@given(st.lists(STEPS, min_size=4, max_size=30))
@settings(max_examples=300, deadline=None)
def test_every_life_is_what_the_design_says(steps: list[tuple[str, ...]]) -> None:
    life, told = Life(), Told()
    life.register("alice")
    told.register("alice")
    for step in steps:
        for verb, *arguments in steps_of(step, life):
            before = len(told.entries)
            allowed = getattr(life, verb)(*arguments)
            try:
                getattr(told, verb)(*arguments)
            except CloudMLOpsError:
                assert not allowed, f"{verb}{arguments} was refused"
                assert len(told.entries) == before
            else:
                assert allowed, f"{verb}{arguments} was not refused"
            assert told.fold.production == life.production
            assert {v: state.stage.value for v, state in told.fold.versions.items()} == life.stages
            assert {v for v, state in told.fold.versions.items() if state.deleted} == life.deleted
            assert list(told.fold.displaced) == life.displaced
            assert sum(stage == "production" for stage in life.stages.values()) <= 1

    middle = len(told.entries) // 2
    checkpoint = fold_from_json(fold_to_json(extended(Fold(model="churn"), told.entries[:middle])))
    assert extended(checkpoint, told.entries[middle:]) == told.fold, "a checkpoint changes what comes of a ledger"
    assert told.fold.digest == digest_of(entry_to_json(told.entries[-1]))


TEXT = st.text(max_size=20)
NUMBERS = st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=3)
TAGS = st.dictionaries(TEXT, TEXT, max_size=3)
REGISTRATIONS = st.builds(
    Registration,
    artifact_uri=st.just("s3://bucket/models/churn/1/"),
    manifest=st.just("0" * 64),
    native=TEXT,
    run=st.none() | st.text(min_size=1, max_size=9),
    metrics=NUMBERS,
    tags=TAGS,
    features=st.none() | st.builds(FeatureServiceRef, name=TEXT, schema_hash=TEXT),
    signature=st.just({}) | st.just({"inputs": [{"name": "ä", "type": "double"}]}),
    card=TEXT,
)
ENTRIES = st.builds(
    Entry,
    sequence=st.integers(1, 10**12 - 1),
    entry_id=TEXT,
    previous=TEXT,
    at=st.datetimes(timezones=st.just(UTC)),
    actor=st.builds(Actor, id=TEXT, kind=st.sampled_from(ActorKind)),
    kind=st.sampled_from(EntryKind),
    version=st.none() | st.text(min_size=1, max_size=9),
    changes=st.lists(st.tuples(TEXT, st.sampled_from(Stage), st.sampled_from(Stage)), max_size=2).map(tuple),
    reason=TEXT,
    evidence=st.none()
    | st.builds(
        Evidence,
        metrics=NUMBERS,
        baseline=NUMBERS,
        run=st.none() | st.text(min_size=1, max_size=9),
        reports=st.lists(TEXT, max_size=2).map(tuple),
    ),
    approvals=st.lists(st.integers(1, 99), max_size=2).map(tuple),
    policies=st.lists(TEXT, max_size=2).map(tuple),
    expected=st.none() | TEXT,
    registration=st.none() | REGISTRATIONS,
    tags=TAGS,
    untagged=st.lists(TEXT, max_size=2).map(tuple),
)


@given(ENTRIES)
@settings(max_examples=60, deadline=None)
def test_an_entry_survives_its_json(entry: Entry) -> None:
    data = entry_to_json(entry)

    assert entry_from_json(data) == replace(entry, digest=digest_of(data))


@given(ENTRIES, st.data())
@settings(max_examples=50, deadline=None)
def test_a_truncated_entry_is_never_read_as_one(entry: Entry, data: st.DataObject) -> None:
    whole = entry_to_json(entry)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]

    with pytest.raises(UnexpectedReplyError, match=r"truncated|empty"):
        entry_from_json(part)
