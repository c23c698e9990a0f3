"""Model versions when the service is away, busy or refuses, and when somebody else writes at the same time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    ConflictError,
    QuotaExceededError,
    UnavailableError,
)
from cloudmlops.providers.azureml.backends import AzureMLBackends

from .conftest import Opened
from .deployments import once
from .model_versions import GET, PUT, new, once_within, registered_by_others, shown, versions


def test_a_service_that_was_away_or_busy_is_asked_again(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.01)
    azureml_emulator.faults.set(Fault(matching=PUT, times=2, refused=busy))
    azureml_emulator.faults.set(Fault(matching=GET, refused=Refused("UNAVAILABLE", "not now")))

    backends.models.create(new(backends))

    assert len(azureml_emulator.calls.list(PUT)) == 3


def test_a_service_that_stays_busy_is_told_with_the_time_to_come_again(
    backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.25)
    azureml_emulator.faults.set(Fault(matching=PUT, times=None, refused=busy))

    with pytest.raises(QuotaExceededError, match=r"models\.register of 'churn@1'.*Too many requests") as caught:
        backends.models.create(new(backends))

    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 0.25
    assert caught.value.retryable


def test_a_service_that_stays_away_is_said_to_be_unavailable(opened: Opened, azureml_emulator: Emulator) -> None:
    backends = opened(timeout="1")
    refused = Refused("UNAVAILABLE", "The service is currently unavailable.")
    azureml_emulator.faults.set(Fault(matching=PUT, times=None, refused=refused))

    with pytest.raises(UnavailableError, match=r"models\.register of 'churn@1'"):
        backends.models.create(new(backends))


def test_a_conflict_is_told(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    azureml_emulator.faults.set(Fault(matching=PUT, refused=Refused("ABORTED", "Another operation is in progress.")))

    with pytest.raises(ConflictError, match="Another operation is in progress"):
        backends.models.create(new(backends))


def test_a_token_that_became_too_old_is_renewed_once(opened: Opened, azureml_emulator: Emulator) -> None:
    backends = opened()
    backends.models.create(new(backends))
    azureml_emulator.calls.clear()
    azureml_emulator.cloud(AzureCloud).tokens.expire()

    assert list(backends.models._versions("churn"))

    assert [call.status for call in azureml_emulator.calls.list(GET)] == ["UNAUTHENTICATED", "OK"]
    assert len(azureml_emulator.calls.list("entra/token")) == 1


def test_what_a_concurrent_writer_puts_over_it_is_drawn_again(opened: Opened, azureml_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    backends.models.create(new(backends))
    stale = other.native.models.get("churn", "1")
    stale.tags = {**stale.tags, "cost-centre": "7"}
    before = len(azureml_emulator.calls.list(PUT))
    overwrite = once_within(lambda: other.native.models.create_or_update(stale))
    azureml_emulator.faults.set(Fault(matching=GET, first=3, before=overwrite))

    backends.models.project("churn", [shown(stage=Stage.PRODUCTION, team="growth")])

    (version,) = versions(backends)
    assert version.tags["stage"] == "production"
    assert version.tags["team"] == "growth"
    assert version.tags["cost-centre"] == "7", "what the other wrote is kept, too"
    assert version.stage == "Production"
    assert len(azureml_emulator.calls.list(PUT)) - before == 3


def test_a_version_that_is_always_overwritten_ends_in_a_conflict(opened: Opened, azureml_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    backends.models.create(new(backends))
    stale = other.native.models.get("churn", "1")
    overwrite = once_within(lambda: other.native.models.create_or_update(stale))
    azureml_emulator.faults.set(Fault(matching=GET, first=3, times=None, before=overwrite))

    with pytest.raises(ConflictError, match="somebody else changes churn@1 in Azure ML"):
        backends.models.project("churn", [shown(stage=Stage.PRODUCTION)])


def test_what_was_drawn_of_a_later_end_of_the_ledger_is_left_alone(opened: Opened, azureml_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    backends.models.create(new(backends))
    later = replace(shown(stage=Stage.STAGING, revision=8), head=8)
    azureml_emulator.faults.set(
        Fault(matching=GET, first=3, before=once_within(lambda: other.models.project("churn", [later])))
    )

    backends.models.project("churn", [shown(stage=Stage.CANDIDATE)])

    assert backends.models.projected("churn")["1"].stage is Stage.STAGING


@pytest.mark.parametrize("put", [1, 2], ids=["marked", "archived"])
def test_what_a_stale_writer_puts_over_a_deletion_is_deleted_again(
    opened: Opened, azureml_emulator: Emulator, put: int
) -> None:
    backends, other = opened(), opened()
    backends.models.create(new(backends))
    stale = other.native.models.get("churn", "1")
    made = len(azureml_emulator.calls.list(PUT))
    overwrite = once(
        lambda: other.native.models.create_or_update(stale),
        when=lambda: len(azureml_emulator.calls.list(PUT)) == made + put,
    )
    azureml_emulator.faults.set(Fault(matching=GET, times=None, before=overwrite))

    backends.models.delete("churn", "1")

    assert len(azureml_emulator.calls.list(PUT)) > made + 2, "the other has written"
    assert versions(backends) == []
    assert backends.models.projected("churn") == {}


@pytest.mark.conformance(ci=True)
def test_a_version_that_is_always_put_back_is_not_said_to_be_deleted(
    opened: Opened, azureml_emulator: Emulator
) -> None:
    backends, other = opened(), opened()
    backends.models.create(new(backends))
    stale = other.native.models.get("churn", "1")
    put_back = once_within(lambda: other.native.models.create_or_update(stale))
    azureml_emulator.faults.set(Fault(matching=GET, times=None, before=put_back))

    with pytest.raises(ConflictError, match="somebody else changes churn@1 in Azure ML whenever it is deleted"):
        backends.models.delete("churn", "1")


def test_what_a_stale_writer_puts_over_a_stamp_is_stamped_again(opened: Opened, azureml_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    registered_by_others(backends)
    stale = other.native.models.get("churn", "1")
    made = len(azureml_emulator.calls.list(PUT))
    overwrite = once(
        lambda: other.native.models.create_or_update(stale),
        when=lambda: len(azureml_emulator.calls.list(PUT)) == made + 1,
    )
    azureml_emulator.faults.set(Fault(matching=GET, times=None, before=overwrite))

    backends.models.stamp("churn", backends.objects.uri)

    assert len(azureml_emulator.calls.list(PUT)) == made + 3
    assert backends.models.store("churn") == backends.objects.uri


def test_the_last_stamp_that_stays_is_seen(opened: Opened, azureml_emulator: Emulator) -> None:
    backends, other = opened(), opened()
    registered_by_others(backends)
    stale = other.native.models.get("churn", "1")
    overwrite = [once(lambda: other.native.models.create_or_update(stale)) for _ in range(4)]
    made = len(azureml_emulator.calls.list(PUT))

    def put_back() -> None:
        put = len(azureml_emulator.calls.list(PUT)) - made
        if put % 2 and put < 8:
            overwrite[put // 2]()

    azureml_emulator.faults.set(Fault(matching=GET, times=None, before=once_within(put_back)))

    backends.models.stamp("churn", backends.objects.uri)

    assert len(azureml_emulator.calls.list(PUT)) == made + 9
    assert backends.models.store("churn") == backends.objects.uri
