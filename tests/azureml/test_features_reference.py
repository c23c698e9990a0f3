"""Features on Azure ML, held to the reference join of `domain.point_in_time`: what DuckDB joins and Redis serves."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.feature_worlds import check_online, check_training_table, made_case

from cloudmlops import Platform

from .conftest import Opened

CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=CHECKS)
QUICK_ONLINE = settings(max_examples=6, deadline=None, suppress_health_check=CHECKS)
THOROUGH = settings(max_examples=300, deadline=None, suppress_health_check=CHECKS)
SEEDS = st.integers(0, 2**32)


@QUICK
@given(seed=SEEDS)
def test_the_join_is_the_reference_join_to_the_bit(seed: int, opened: Opened) -> None:
    check_training_table(made_case(seed, in_order=True), Platform(opened()), exact=True)


@QUICK_ONLINE
@given(seed=SEEDS)
def test_what_is_read_online_is_what_the_reference_says_of_all_that_was_written(seed: int, opened: Opened) -> None:
    check_online(made_case(seed), opened(), seed)


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@THOROUGH
@given(seed=SEEDS)
def test_thousands_of_joins_are_the_reference_join_to_the_bit(seed: int, opened: Opened) -> None:
    check_training_table(made_case(seed, in_order=True), Platform(opened()), exact=True)


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@THOROUGH
@given(seed=SEEDS)
def test_thousands_of_online_reads_are_what_the_reference_says(seed: int, opened: Opened) -> None:
    check_online(made_case(seed), opened(), seed)
