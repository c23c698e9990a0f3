"""Roles that are given or taken only in part: they count for nothing, and who did it is told what there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.access import Role
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import PermissionDeniedError
from cloudmlops.providers.azureml.backends import AzureMLBackends

from .conftest import Opened

ASSIGN = "arm/PUT roleAssignments"
UNASSIGN = "arm/DELETE roleAssignments"


@pytest.fixture
def platform(opened: Opened) -> Iterator[Platform]:
    with connect(opened().settings.target) as found:
        yield found


def assigned(cloud: AzureCloud, principal: str) -> list[str]:
    """Return the names of the roles that somebody has been assigned."""
    return [
        role.name
        for one in cloud.access.assignments()
        if one["properties"]["principalId"] == principal
        and (role := cloud.access.role(one["properties"]["roleDefinitionId"])) is not None
    ]


@pytest.mark.parametrize("refused", range(1, 5))
def test_a_grant_that_is_refused_half_way_is_no_role_says_so_and_is_taken_back(
    platform: Platform, backends: AzureMLBackends, cloud: AzureCloud, azureml_emulator: Emulator, ada: str, refused: int
) -> None:
    no = Refused("PERMISSION_DENIED", "no")
    azureml_emulator.faults.set(Fault(matching=ASSIGN, refused=no, first=refused + 1, times=None))

    with pytest.raises(PermissionDeniedError) as caught:
        platform.access.grant(Role.TRAINER, ada)

    azureml_emulator.faults.clear()
    given, lacking = caught.value.hint.split(" Not assigned: ")
    names = assigned(cloud, ada)
    assert len(names) == refused
    assert all(given.count(name) == names.count(name) for name in names)
    assert "Storage Blob Data Contributor" in lacking
    assert ada not in [grant.principal for grant in platform.access.list()]
    assert [backends.access.holders(role, [ada]) for role in Role] == [frozenset()] * len(Role)
    platform.access.revoke(Role.TRAINER, ada)
    assert assigned(cloud, ada) == []


def test_a_grant_that_was_refused_half_way_is_finished_by_the_same_one(
    platform: Platform, azureml_emulator: Emulator, ada: str
) -> None:
    no = Refused("PERMISSION_DENIED", "no")
    azureml_emulator.faults.set(Fault(matching=ASSIGN, refused=no, first=3, times=None))
    with pytest.raises(PermissionDeniedError):
        platform.access.grant(Role.TRAINER, ada)
    azureml_emulator.faults.clear()

    platform.access.grant(Role.TRAINER, ada)

    assert [grant.role for grant in platform.access.list() if grant.principal == ada] == [Role.TRAINER]


def test_a_role_that_is_taken_half_way_is_none_says_what_is_left_and_is_taken_again(
    platform: Platform, cloud: AzureCloud, azureml_emulator: Emulator, ada: str
) -> None:
    platform.access.grant(Role.TRAINER, ada)
    no = Refused("PERMISSION_DENIED", "no")
    azureml_emulator.faults.set(Fault(matching=UNASSIGN, refused=no, first=2, times=None))

    with pytest.raises(PermissionDeniedError, match=r"Still assigned: Reader on the .*AzureML Data Scientist"):
        platform.access.revoke(Role.TRAINER, ada)

    azureml_emulator.faults.clear()
    assert len(assigned(cloud, ada)) == 4
    assert ada not in [grant.principal for grant in platform.access.list()]
    platform.access.revoke(Role.TRAINER, ada)
    assert assigned(cloud, ada) == []
