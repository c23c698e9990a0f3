"""The ledger when the wire, the disk or a person does wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudmlops import Platform, Stage, connect
from cloudmlops.domain.actors import Actor
from cloudmlops.domain.ledger import EntryKind, Fold, Statement
from cloudmlops.domain.ledger_json import fold_from_json
from cloudmlops.errors import ConfigurationError, QuotaExceededError, UnavailableError, UnexpectedReplyError
from cloudmlops.ports.clock import FixedClock
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.registry import projection
from cloudmlops.services.registry.health import Fault
from cloudmlops.services.registry.ledger import Ledger, checkpoint_key, entry_key
from cloudmlops.testing.contract.models import in_production, written_model

ALICE = Actor(id="alice")
CLOCK = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))


class Wire:
    """An object store behind a wire that can lose answers, break, and count what is asked."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.asked: list[tuple[str, str]] = []
        self.before_create: Callable[[str, bytes], None] = lambda key, data: None
        self.answer_create: Callable[[str, bool], bool] = lambda key, made: made

    @property
    def uri(self) -> str:
        return self._store.uri

    def create(self, key: str, data: bytes) -> bool:
        self.asked.append(("create", key))
        self.before_create(key, data)
        return self.answer_create(key, self._store.create(key, data))

    def get(self, key: str) -> bytes:
        self.asked.append(("get", key))
        return self._store.get(key)

    def put(self, key: str, data: bytes) -> None:
        self._store.put(key, data)

    def hint(self, key: str, data: bytes) -> None:
        self._store.hint(key, data)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def exists(self, key: str) -> bool:
        self.asked.append(("exists", key))
        return self._store.exists(key)

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        self.asked.append(("list", prefix))
        return self._store.list(prefix, after=after)

    def upload(self, key: str, source: Path) -> None:
        self._store.upload(key, source)

    def download(self, key: str, target: Path) -> None:
        self._store.download(key, target)


def reserve(fold: Fold) -> Statement:
    return Statement(kind=EntryKind.REGISTERING, version=str(len(fold.versions) + 1), request=f"r{len(fold.versions)}")


@pytest.fixture
def wire(store: ObjectStore) -> Wire:
    return Wire(store)


def grown(store: ObjectStore, entries: int) -> Ledger:
    ledger = Ledger(store, CLOCK)
    for _ in range(entries):
        ledger.append("churn", ALICE, reserve)
    return ledger


def test_a_write_whose_answer_is_no_although_it_was_made_counts_once(wire: Wire) -> None:
    wire.answer_create = lambda key, made: False  # the first answer got lost, the repeated request found the object

    appended = grown(wire, 0).append("churn", ALICE, reserve)

    assert appended.entry is not None
    assert [entry.entry_id for entry in Ledger(wire, CLOCK).entries("churn")] == [appended.entry.entry_id]


def test_a_write_whose_answer_is_lost_is_found_again(wire: Wire) -> None:
    def lose(key: str, made: bool) -> bool:
        wire.answer_create = lambda key, made: made
        raise UnavailableError("the connection was closed")

    ledger = grown(wire, 2)
    wire.answer_create = lose

    appended = ledger.append("churn", ALICE, reserve)

    assert appended.fold.sequence == 3
    assert len(list(ledger.entries("churn"))) == 3


def test_a_write_that_never_arrived_is_an_error_and_no_entry(wire: Wire) -> None:
    def fail(key: str, data: bytes) -> None:
        raise UnavailableError("no route to host")

    ledger = grown(wire, 2)
    wire.before_create = fail

    with pytest.raises(UnavailableError, match="no route to host"):
        ledger.append("churn", ALICE, reserve)
    assert len(list(ledger.entries("churn"))) == 2


def test_whoever_loses_a_race_looks_at_everything_again(wire: Wire) -> None:
    """Another writer takes the place at the last moment, twice; the plan sees each of its entries."""
    rival = Ledger(wire._store, CLOCK)
    seen: list[int] = []

    def overtake(key: str, data: bytes) -> None:
        if len(seen) < 3 and key.endswith(".json"):
            rival.append("churn", Actor(id="rival"), reserve)

    def plan(fold: Fold) -> Statement:
        seen.append(fold.sequence)
        return reserve(fold)

    wire.before_create = overtake
    appended = Ledger(wire, CLOCK).append("churn", ALICE, plan)

    assert seen == [0, 1, 2]
    assert appended.entry is not None
    assert (appended.entry.sequence, appended.entry.version) == (3, "3")


def test_the_end_is_found_without_listing(wire: Wire) -> None:
    grown(wire, 230)
    wire.asked.clear()

    fold = Ledger(wire, CLOCK).read("churn")

    assert fold.sequence == 230
    assert {kind for kind, _ in wire.asked} == {"get"}
    assert len(wire.asked) < 50  # of which 30 are the entries after the checkpoint


@pytest.mark.parametrize("hint", [None, b"", b"{", b'{"sequence": 3}', b'{"sequence": "x"}'])
def test_a_lost_or_stale_head_costs_time_only(store: ObjectStore, hint: bytes | None) -> None:
    grown(store, 130)
    store.delete("ledger/models/churn/head.json")
    if hint is not None:
        store.put("ledger/models/churn/head.json", hint)

    assert Ledger(store, CLOCK).read("churn").sequence == 130


def test_a_checkpoint_is_the_fold_of_what_is_before_it(store: ObjectStore) -> None:
    ledger = grown(store, 100)

    kept = fold_from_json(store.get(checkpoint_key("churn", 100)))

    assert kept == ledger.read("churn")


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": 99}'])
def test_a_damaged_checkpoint_is_read_over(store: ObjectStore, damage: bytes) -> None:
    whole = grown(store, 105).read("churn")
    store.put(checkpoint_key("churn", 100), damage)

    assert Ledger(store, CLOCK).read("churn") == whole


def test_a_cached_fold_follows_other_writers(store: ObjectStore) -> None:
    reader, writer = Ledger(store, CLOCK), Ledger(store, CLOCK)
    for expected in (1, 2, 3):
        writer.append("churn", ALICE, reserve)
        assert reader.read("churn").sequence == expected
    for _ in range(120):
        writer.append("churn", ALICE, reserve)
    assert reader.read("churn") == writer.read("churn")


def test_the_ledgers_time_never_runs_backwards(store: ObjectStore) -> None:
    grown(store, 1)
    late = Ledger(store, FixedClock(datetime(2025, 1, 1, tzinfo=UTC)))

    appended = late.append("churn", ALICE, reserve)

    assert appended.entry is not None
    assert appended.entry.at == CLOCK.at


class TestDamage:
    """What happens to the files of one model; a person finds out, and sets right what can be."""

    @pytest.fixture
    def artifact(self, tmp_path: Path) -> Path:
        return written_model(tmp_path / "artifact")

    @pytest.fixture
    def folder(self, platform_on_disk: Platform, artifact: Path) -> Path:
        in_production(platform_on_disk, "churn", artifact, versions=2)
        return Path(platform_on_disk.native) / "objects"  # type: ignore[arg-type]

    @pytest.mark.parametrize("kept", [0, 1, 200])
    def test_a_truncated_last_entry_is_named_and_set_aside(
        self, platform_on_disk: Platform, folder: Path, artifact: Path, kept: int
    ) -> None:
        last = folder / entry_key("churn", 10)
        last.write_bytes(last.read_bytes()[:kept])
        with connect(platform_on_disk.target) as again:
            with pytest.raises(
                UnexpectedReplyError, match=r"entry 10 of the ledger of model 'churn' is damaged: it is"
            ):
                again.models.get("churn", "1")
            with pytest.raises(UnexpectedReplyError, match=r"`cloudmlops models repair churn`"):
                again.models.promote("churn", "2", to=Stage.ARCHIVED)
            found = again.models.verify("churn")

            repaired = again.models.repair("churn")

            assert [(problem.fault, problem.sequence) for problem in found.problems] == [(Fault.DAMAGED_ENTRY, 10)]
            assert repaired.ok, repaired.problems
            assert "entry 10 was damaged and is void" in repaired.repaired[0]
            # What entry 10 said is lost: version 1 is in production as before it, and the records say so again.
            assert again.models.get("churn", stage="production").version == "1"
            assert again.models.history("churn")[9].kind is EntryKind.REPAIRED
            again.models.promote("churn", "2", to=Stage.PRODUCTION)
        with connect(platform_on_disk.target) as later:
            assert later.models.get("churn", stage="production").version == "2"
            assert later.models.verify("churn").ok
        assert len(list((folder / "ledger/quarantine/models/churn").iterdir())) == 1

    def test_a_changed_entry_in_the_middle_breaks_the_chain_and_is_named(
        self, platform_on_disk: Platform, folder: Path
    ) -> None:
        middle = folder / entry_key("churn", 4)
        middle.write_bytes(middle.read_bytes().replace(b"contract", b"innocent"))
        with connect(platform_on_disk.target) as again:
            found = again.models.verify("churn")

            assert [(problem.fault, problem.sequence) for problem in found.problems] == [(Fault.BROKEN_CHAIN, 5)]
            assert "entry 5 of the ledger of model 'churn' does not continue entry 4" in found.problems[0].message
            assert not again.models.repair("churn").ok
            with pytest.raises(UnexpectedReplyError, match="does not continue entry 4"):
                again.models.history("churn")

    def test_a_damaged_entry_in_the_middle_is_named_and_left_alone(
        self, platform_on_disk: Platform, folder: Path
    ) -> None:
        (folder / entry_key("churn", 4)).write_bytes(b"")
        with connect(platform_on_disk.target) as again:
            repaired = again.models.repair("churn")

        assert [(problem.fault, problem.sequence) for problem in repaired.problems] == [(Fault.DAMAGED_ENTRY, 4)]
        assert "it is empty" in repaired.problems[0].message
        assert repaired.repaired == ()

    def test_entries_that_are_gone_from_the_end_are_missed(self, platform_on_disk: Platform, folder: Path) -> None:
        for sequence in (8, 9, 10):
            (folder / entry_key("churn", sequence)).unlink()
        with connect(platform_on_disk.target) as again:
            with pytest.raises(UnexpectedReplyError, match=r"entry 8 of the ledger of model 'churn' is missing"):
                again.models.get("churn", "1")
            found = again.models.verify("churn")
            repaired = again.models.repair("churn")

        assert Fault.MISSING_ENTRY in [problem.fault for problem in found.problems]
        assert repaired.ok
        assert any("given up" in done for done in repaired.repaired)

    def test_a_checkpoint_that_lies_is_found_and_removed(self, platform_on_disk: Platform, folder: Path) -> None:
        for number in range(90):
            platform_on_disk.models.tag("churn", "1", {"n": str(number)})
        checkpoint = folder / checkpoint_key("churn", 100)
        lying = json.loads(checkpoint.read_bytes())
        lying["production"] = "1"
        checkpoint.write_text(json.dumps(lying), encoding="utf-8")
        with connect(platform_on_disk.target) as again:
            found = again.models.verify("churn")
            again.models.repair("churn")

            assert [problem.fault for problem in found.problems] == [Fault.CHECKPOINT]
            assert again.models.verify("churn").ok
        with connect(platform_on_disk.target) as later:
            assert later.models.get("churn", stage="production").version == "2"

    def test_another_store_is_refused_and_not_a_second_truth(
        self, platform_on_disk: Platform, folder: Path, artifact: Path, tmp_path: Path
    ) -> None:
        elsewhere = connect(f"{platform_on_disk.target}?store={(tmp_path / 'elsewhere').as_uri()}")

        with (
            elsewhere,
            pytest.raises(ConfigurationError, match=r"ledger of model 'churn' lies in file:.*configured with"),
        ):
            elsewhere.models.register("churn", artifact)
        with elsewhere, pytest.raises(ConfigurationError, match="two ledgers would be two truths"):
            elsewhere.models.get("churn", stage="production")

    def test_the_models_of_another_store_are_refused_and_not_left_out_of_the_list(
        self, platform_on_disk: Platform, folder: Path, tmp_path: Path
    ) -> None:
        with (
            connect(f"{platform_on_disk.target}?store={(tmp_path / 'elsewhere').as_uri()}") as elsewhere,
            pytest.raises(ConfigurationError, match=r"ledger of model 'churn' lies in file:.*configured with"),
        ):
            elsewhere.models.list()

    def test_a_damaged_model_is_left_out_of_the_list_of_all_and_told(
        self, platform_on_disk: Platform, folder: Path, artifact: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        platform_on_disk.models.register("delay", artifact)
        (folder / entry_key("churn", 4)).write_bytes(b"{")
        with connect(platform_on_disk.target) as again:
            assert [version.model for version in again.models.list()] == ["delay"]
            assert "model churn is not listed: entry 4 of the ledger of model 'churn' is damaged" in caplog.text
            assert "`cloudmlops models repair churn`" in caplog.text
            with pytest.raises(UnexpectedReplyError, match="entry 4 of the ledger of model 'churn' is damaged"):
                again.models.list("churn")

    def test_changed_files_are_not_downloaded(self, platform_on_disk: Platform, folder: Path, tmp_path: Path) -> None:
        next(folder.glob("models/churn/1/*/data/weights.bin")).write_bytes(b"poisoned")

        with pytest.raises(
            UnexpectedReplyError, match=r"'data/weights.bin' of models/churn/1/.* is not the file that was"
        ):
            platform_on_disk.models.download("churn", "1", to=tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]

    def test_a_changed_manifest_cannot_lead_out_of_the_folder(
        self, platform_on_disk: Platform, folder: Path, tmp_path: Path
    ) -> None:
        manifest = next(folder.glob("models/churn/1/*/cloudmlops_manifest.json"))
        manifest.write_bytes(manifest.read_bytes().replace(b"MLmodel", b"../../evil"))

        with pytest.raises(UnexpectedReplyError, match="is not the list of files that was registered"):
            platform_on_disk.models.download("churn", "1", to=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_rolling_back_to_files_that_are_gone_is_refused(self, platform_on_disk: Platform, folder: Path) -> None:
        next(folder.glob("models/churn/1/*/cloudmlops_manifest.json")).unlink()

        with pytest.raises(Exception, match=r"cannot roll back to churn@1: files of it are gone"):
            platform_on_disk.models.rollback("churn")
        assert platform_on_disk.models.get("churn", stage="production").version == "2"

    def test_a_record_that_cannot_be_written_is_reported_and_undoes_nothing(
        self,
        platform_on_disk: Platform,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(projection, "_PAUSES_SECONDS", (0.0, 0.0))
        record = folder.parent / "registry/churn/1.jsonl"
        record.unlink()
        record.mkdir()

        moved = platform_on_disk.models.promote("churn", "1", to=Stage.CANDIDATE)

        assert moved.stage is Stage.CANDIDATE
        assert "`cloudmlops models repair churn` draws them again" in caplog.text
        record.rmdir()
        assert [problem.fault for problem in platform_on_disk.models.verify("churn").problems] == [Fault.PROJECTION]
        assert platform_on_disk.models.repair("churn").ok

    def test_hints_that_cannot_be_written_do_not_undo_the_entry(self, store: ObjectStore) -> None:
        class Full(Wire):
            def hint(self, key: str, data: bytes) -> None:
                raise QuotaExceededError("no space left")

            def put(self, key: str, data: bytes) -> None:
                raise QuotaExceededError("no space left")

        ledger = grown(Full(store), 100)

        assert ledger.read("churn").sequence == 100
        assert Ledger(store, CLOCK).read("churn").sequence == 100


class TestLastEntry:
    """The last entry: no other one holds its digest."""

    @pytest.fixture
    def entries(self, platform_on_disk: Platform, tmp_path: Path) -> Path:
        in_production(platform_on_disk, "churn", written_model(tmp_path / "artifact"))
        return Path(str(platform_on_disk.native)) / "objects/ledger/models/churn"

    def test_a_process_does_not_continue_an_entry_that_was_damaged_since_it_read_it(
        self, platform_on_disk: Platform, entries: Path
    ) -> None:
        last = entries / "000000000005.json"
        last.write_bytes(last.read_bytes()[:40])

        with pytest.raises(UnexpectedReplyError, match=r"entry 5 .* is damaged"):
            platform_on_disk.models.tag("churn", "1", {"x": "1"})
        assert len(list(entries.glob("0*.json"))) == 5

    def test_a_process_goes_on_after_another_one_has_repaired_the_ledger(
        self, platform_on_disk: Platform, entries: Path
    ) -> None:
        last = entries / "000000000005.json"
        last.write_bytes(last.read_bytes()[:40])
        with connect(platform_on_disk.target) as other:
            assert other.models.repair("churn").ok

        assert platform_on_disk.models.get("churn", "1").stage is Stage.STAGING
        assert platform_on_disk.models.tag("churn", "1", {"x": "1"}).tags["x"] == "1"
        assert platform_on_disk.models.verify("churn").ok

    def test_a_process_knows_that_entries_were_cut_off(self, platform_on_disk: Platform, entries: Path) -> None:
        (entries / "000000000005.json").unlink()

        with pytest.raises(UnexpectedReplyError, match=r"entry 5 .* is missing"):
            platform_on_disk.models.tag("churn", "1", {"x": "1"})

    def test_verify_notices_a_last_entry_that_was_rewritten(self, platform_on_disk: Platform, entries: Path) -> None:
        last = entries / "000000000005.json"
        last.write_text(json.dumps(json.loads(last.read_bytes()) | {"reason": "forged"}))

        with connect(platform_on_disk.target) as other:
            assert [found.fault for found in other.models.verify("churn").problems] == [Fault.CHANGED_ENTRY]
            repaired = other.models.repair("churn")
            assert repaired.ok
            assert any("entry 5" in done for done in repaired.repaired)

    def test_verify_notices_that_the_last_entries_were_cut_off(self, platform_on_disk: Platform, entries: Path) -> None:
        (entries / "000000000005.json").unlink()

        with connect(platform_on_disk.target) as other:
            assert Fault.MISSING_ENTRY in [found.fault for found in other.models.verify("churn").problems]

    def test_history_does_not_end_before_the_end_that_was_hinted_at(
        self, platform_on_disk: Platform, entries: Path
    ) -> None:
        for number in range(4):
            platform_on_disk.models.tag("churn", "1", {"x": str(number)})
        (entries / "000000000008.json").unlink()

        with connect(platform_on_disk.target) as other:
            for ask in (
                lambda: other.models.history("churn"),
                lambda: other.models.at("churn", "production", datetime.now(UTC)),
            ):
                with pytest.raises(UnexpectedReplyError, match=r"entry 8 .* is missing"):
                    ask()

    def test_a_forged_move_that_nobody_may_make_is_no_entry(self, platform_on_disk: Platform, entries: Path) -> None:
        first = json.loads((entries / "000000000003.json").read_bytes())
        (entries / "000000000004.json").unlink()
        (entries / "000000000005.json").unlink()
        (entries / "000000000003.json").write_text(
            json.dumps(first | {"changes": [["1", "none", "production"]], "reason": "forged"})
        )

        forged = "from none to production, which nobody may"
        with connect(platform_on_disk.target) as other, pytest.raises(UnexpectedReplyError, match=forged):
            other.models.get("churn", "1")

    @pytest.mark.parametrize("kind", ["registered", "moved"])
    def test_what_stands_is_returned_although_the_store_does_not_answer_afterwards(
        self, platform_on_disk: Platform, tmp_path: Path, kind: str
    ) -> None:
        class Breaking(Wire):
            broken = False

            def get(self, key: str) -> bytes:
                if self.broken and key.startswith("ledger/"):
                    raise UnavailableError("503 Slow Down")
                return super().get(key)

        wire = Breaking(platform_on_disk._backends.objects)

        def broken_after(key: str, made: bool) -> bool:
            wire.broken = f'"kind":"{kind}"'.encode() in (wire._store.get(key) if key.startswith("ledger/m") else b"")
            return made

        wire.answer_create = broken_after
        platform_on_disk._backends.__dict__["objects"] = wire
        artifact = written_model(tmp_path / "artifact")
        registered = platform_on_disk.models.register("churn", artifact)
        assert registered.version == "1"
        if kind == "moved":
            assert platform_on_disk.models.promote("churn", "1", to="candidate").stage is Stage.CANDIDATE

        wire.broken = False
        assert len(platform_on_disk.models.list("churn")) == 1

    def test_a_void_entry_where_a_checkpoint_would_be_leaves_nothing_wrong(
        self, platform_on_disk: Platform, entries: Path
    ) -> None:
        for number in range(95):
            platform_on_disk.models.tag("churn", "1", {"x": str(number)})
        (entries / "checkpoints/000000000100.json").unlink()
        (entries / "000000000100.json").write_bytes(b"")

        with connect(platform_on_disk.target) as other:
            assert other.models.repair("churn").ok
            assert other.models.verify("churn").ok

    @pytest.mark.parametrize("head", ['{"sequence": 1e999}', '{"sequence": -5}', "[]"])
    def test_a_senseless_hint_costs_time_only(self, platform_on_disk: Platform, entries: Path, head: str) -> None:
        (entries / "head.json").write_text(head)

        with connect(platform_on_disk.target) as other:
            assert other.models.get("churn", "1").stage is Stage.PRODUCTION

    def test_an_entry_whose_time_has_no_zone_is_damaged(self, platform_on_disk: Platform, entries: Path) -> None:
        last = entries / "000000000005.json"
        last.write_text(json.dumps(json.loads(last.read_bytes()) | {"at": "2026-01-01T00:00:00"}))

        with connect(platform_on_disk.target) as other, pytest.raises(UnexpectedReplyError, match="has no time zone"):
            other.models.get("churn", "1")
