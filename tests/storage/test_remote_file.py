"""A remote object as a file reads what a file of the same bytes does, and asks for those bytes alone."""

from __future__ import annotations

import io
import os

from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.storage.remote_file import RemoteFile

places = st.integers(min_value=-20, max_value=20)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(min_value=-1, max_value=20)),
        st.tuples(st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]), places),
    )
)


@given(content=st.binary(max_size=16), steps=steps)
def test_it_reads_as_a_file_does(content: bytes, steps: list[tuple[str | int, int]]) -> None:
    asked: list[tuple[int, int]] = []

    def read(start: int, length: int) -> bytes:
        asked.append((start, length))
        return content[start : start + length]

    file, other = RemoteFile(read, len(content)), io.BytesIO(content)
    for what, number in steps:
        if what == "read":
            assert file.read(number) == other.read(number)
        elif what != os.SEEK_SET or number >= 0:
            assert file.seek(number, int(what)) == other.seek(number, int(what))
        assert file.tell() == other.tell()

    assert all(0 < length <= len(content) - start for start, length in asked)
