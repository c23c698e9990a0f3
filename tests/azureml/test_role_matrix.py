"""Every verb by who has one built-in role of Azure at one scope: what is missing is what the role does not grant.

That the calls are let in or refused likewise is in `test_role_matrix_calls.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from cloudmlops import connect
from cloudmlops.emulators.azure.cloud import AzureCloud

from .conftest import Opened
from .role_matrix import PLACES, ROLES, Matrix


@pytest.fixture
def matrix(cloud: AzureCloud, opened: Opened) -> Matrix:
    return Matrix(cloud=cloud, platform=opened(), sees=True)


def cases(roles: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return roles with places and the half of the rights that they are asked for."""
    return [(role, place, half) for role in roles for place in PLACES for half in ("resources", "data")]


def told(matrix: Matrix, role: str, place: str, half: str) -> list[str]:
    """Return where `check_access` says something else of a verb than the role's definition."""
    given = matrix.given(role, place, half=half)
    with matrix.having(given), connect(matrix.platform.settings.target) as platform:
        missing = platform.check_access(list(matrix.known))
    wrong = [f"{one.verb}: {one.unknown}" for one in missing if one.unknown]
    for verb in matrix.known:
        said, should = {one.permission for one in missing if one.verb == verb}, matrix.lacking(given, verb)
        wrong += [f"{role} at the {place}, {half}: {verb}: {one.name}" for one in said ^ should]
    return wrong


def test_what_is_missing_is_what_a_role_does_not_grant(matrix: Matrix, as_somebody: Callable[[str], None]) -> None:
    as_somebody("worker")
    few = [
        ("AzureML Data Scientist", "workspace", "resources"),
        ("Storage Blob Data Reader", "storage account", "data"),
    ]
    assert [wrong for case in few for wrong in told(matrix, *case)] == []


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("role", ROLES)
def test_what_is_missing_of_every_verb_is_what_a_role_at_a_scope_does_not_grant(
    matrix: Matrix, as_somebody: Callable[[str], None], role: str
) -> None:
    as_somebody("worker")
    assert [wrong for case in cases([role]) for wrong in told(matrix, *case)] == []
