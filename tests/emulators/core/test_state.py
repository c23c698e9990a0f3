from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudmlops.emulators.core.state import State


def test_what_is_put_is_got_and_listed_by_key() -> None:
    state = State()
    table = state.table("things")

    table.put("b/2", b"two")
    table.put("b/1", b"one")
    table.put("c/1", b"three")

    assert table.get("b/2") == b"two"
    assert table.get("nothing") is None
    assert table.items("b/") == [("b/1", b"one"), ("b/2", b"two")]
    assert table.items("b/", after="b/1") == [("b/2", b"two")]
    assert table.delete("b/1")
    assert not table.delete("b/1")
    assert table.create("b/1", b"new")
    assert not table.create("b/1", b"newer")
    assert table.get("b/1") == b"new"
    state.close()


def test_a_table_is_named_by_this_package_and_not_by_input() -> None:
    state = State()

    with pytest.raises(ValueError, match="not the name of a table"):
        state.table("things; DROP TABLE x")
    state.close()


def test_a_folder_is_there_again_after_a_restart(tmp_path: Path) -> None:
    first = State(tmp_path / "new" / "state")
    first.table("things").put("key", b"value")
    (first.folder / "large").write_bytes(b"file")
    first.close()

    second = State(tmp_path / "new" / "state")

    assert second.durable
    assert second.table("things").get("key") == b"value"
    assert (second.folder / "large").read_bytes() == b"file"
    second.close()


def test_without_a_folder_all_is_gone_on_close() -> None:
    state = State()
    folder = state.folder
    (folder / "large").write_bytes(b"file")

    state.close()

    assert not state.durable
    assert not folder.exists()


def test_a_folder_belongs_to_one_emulator_at_a_time(tmp_path: Path) -> None:
    first = State(tmp_path)

    with pytest.raises(BlockingIOError, match="another emulator keeps its state"):
        State(tmp_path)

    first.close()
    State(tmp_path).close()


def fail_after(state: State, *keys: str) -> None:
    with state.transaction():
        for key in keys:
            state.table("things").put(key, b"1")
        state.table("things").delete("before")
        raise KeyError


def test_a_damaged_state_is_named_and_its_folder_let_go(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 1000)

    with pytest.raises(OSError, match=r"has kept in .*state\.db is damaged: file is not a database"):
        State(tmp_path)

    (tmp_path / "state.db").unlink()
    State(tmp_path).close()


def test_a_transaction_that_fails_undoes_all_of_it_and_an_inner_one_itself_alone() -> None:
    state = State()
    table = state.table("things")
    table.put("before", b"1")

    with pytest.raises(KeyError):
        fail_after(state, "outer")

    assert table.items() == [("before", b"1")]
    with state.transaction():
        table.put("outer", b"1")
        with pytest.raises(KeyError):
            fail_after(state, "inner")
    assert [key for key, _ in table.items()] == ["before", "outer"]
    state.close()


def test_nobody_sees_a_part_of_a_transaction() -> None:
    state = State()
    table = state.table("things")
    begun, looked = threading.Event(), threading.Event()
    seen: list[int] = []

    def look() -> None:
        begun.wait(20)
        looked.set()
        seen.append(len(table.items()))

    reader = threading.Thread(target=look)
    reader.start()
    with state.transaction():
        table.put("a", b"")
        begun.set()
        looked.wait(20)
        table.put("b", b"")
    reader.join()

    assert seen == [2]
    state.close()


def test_many_threads_count_without_losing_any() -> None:
    state = State()
    table = state.table("counters")
    table.put("n", b"0")

    def count() -> None:
        for _ in range(50):
            with state.transaction():
                table.put("n", str(int(table.get("n") or b"") + 1).encode())

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert table.get("n") == b"400"
    state.close()


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text(alphabet="ab/é\U0001f600~", min_size=1, max_size=5), st.binary(max_size=5)),
    st.text(alphabet="ab/é\U0001f600", max_size=3),
)
def test_a_prefix_lists_what_begins_with_it_in_the_order_of_keys(content: dict[str, bytes], prefix: str) -> None:
    state = State()
    table = state.table("things")
    for key, data in content.items():
        table.put(key, data)

    found = table.items(prefix)

    assert found == sorted((key, data) for key, data in content.items() if key.startswith(prefix))
    state.close()


@pytest.mark.parametrize("there", [False, True], ids=["new", "left open by an earlier version"])
def test_what_is_kept_is_for_the_eyes_of_its_user_only(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "state"
    if there:
        State(folder).close()
        folder.chmod(0o755)
        (folder / "state.db").chmod(0o644)
    state = State(folder)
    state.table("things").put("key", b"private")

    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.glob("state.db*")}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(modes) >= {"state.db", "state.db-wal"}
    assert set(modes.values()) == {0o600}
    state.close()
