"""Features on Vertex AI, held to the reference join of `domain.point_in_time`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.feature_worlds import Case, check_online, check_training_table, made_case

from cloudmlops import Platform
from cloudmlops.providers.vertex.backends import VertexBackends

Opened = Callable[..., VertexBackends]

CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=CHECKS)
QUICK_ONLINE = settings(max_examples=6, deadline=None, suppress_health_check=CHECKS)
THOROUGH = settings(max_examples=200, deadline=None, suppress_health_check=CHECKS)
SEEDS = st.integers(0, 2**32)


def bigquery_case(seed: int) -> Case:
    return made_case(seed, null_lists=False)  # BigQuery has no null of a list: it is an empty one


@pytest.mark.conformance(ci=True)
@QUICK
@given(seed=SEEDS)
def test_the_join_in_bigquery_is_the_reference_join(seed: int, opened: Opened) -> None:
    check_training_table(bigquery_case(seed), Platform(opened()))


@pytest.mark.conformance(ci=True)
@QUICK_ONLINE
@given(seed=SEEDS)
def test_what_is_read_online_is_what_the_reference_says_of_all_that_was_written(seed: int, opened: Opened) -> None:
    check_online(bigquery_case(seed), opened(), seed)


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@THOROUGH
@given(seed=SEEDS)
def test_thousands_of_joins_in_bigquery_are_the_reference_join(seed: int, opened: Opened) -> None:
    check_training_table(bigquery_case(seed), Platform(opened()))


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@THOROUGH
@given(seed=SEEDS)
def test_thousands_of_online_reads_are_what_the_reference_says(seed: int, opened: Opened) -> None:
    check_online(bigquery_case(seed), opened(), seed)
