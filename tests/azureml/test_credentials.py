"""Credentials whose cached tokens are forgotten: what is replaced is closed, and nobody is cut off."""

from __future__ import annotations

from threading import Event, Thread

from azure.identity import DefaultAzureCredential

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault
from cloudmlops.providers.azureml.credentials import Renewable

MANAGEMENT = "https://management.azure.com/.default"


class Watched(DefaultAzureCredential):
    """The real one, which says when it is closed."""

    open = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).open += 1

    def close(self) -> None:
        super().close()
        type(self).open -= 1


def test_a_credential_that_is_renewed_again_and_again_keeps_no_more_than_one(azureml_emulator: Emulator) -> None:
    del azureml_emulator  # it says who asks
    before = Watched.open
    renewable = Renewable(Watched)

    for _ in range(5):
        renewable.renew()

    assert Watched.open == before + 1
    assert renewable.get_token(MANAGEMENT).token
    renewable.close()
    assert Watched.open == before


def test_a_credential_that_is_replaced_while_somebody_asks_it_is_closed_after_that(azureml_emulator: Emulator) -> None:
    asked, go_on, tokens = Event(), Event(), list[str]()

    def hold() -> None:
        asked.set()
        go_on.wait(60)

    azureml_emulator.faults.set(Fault(matching="entra/token", before=hold))
    before = Watched.open
    renewable = Renewable(Watched)
    thread = Thread(target=lambda: tokens.append(renewable.get_token(MANAGEMENT).token))
    thread.start()
    assert asked.wait(60)

    renewable.renew()

    assert Watched.open == before + 2
    go_on.set()
    thread.join()
    assert tokens
    assert Watched.open == before + 1
    renewable.close()
