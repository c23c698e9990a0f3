from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.providers.vertex.mapping.job_names import decoded, encoded, job_of, run_of

NAMES = st.from_regex(re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII), fullmatch=True)


@given(NAMES, NAMES)
def test_names_are_written_without_loss(one: str, other: str) -> None:
    assert decoded(encoded(one)) == one
    assert (encoded(one) == encoded(other)) == (one == other)
    assert re.fullmatch(r"[a-z][-a-z0-9]*", encoded(one))


@given(NAMES, st.integers(min_value=1, max_value=99))
def test_every_attempt_is_a_job_of_its_run(run: str, attempt: int) -> None:
    assert run_of(job_of(run, attempt)) == run
    assert (job_of(run, attempt) == job_of(run, 1)) == (attempt == 1)


def test_common_names_stay_readable() -> None:
    assert job_of("two_places-3f09ab") == "two--places-3f09ab"
    assert job_of("nightly", 2) == "nightly-r---2"
