"""Asking Azure: once, within the time that the settings give, quietly, by public names."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from azure.core.polling import LROPoller
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import Topic

from cloudmlops import connect
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import ConfigurationError, QuotaExceededError, UnavailableError, WaitTimeoutError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.sdk import quiet

from .conftest import Opened

LIST = "arm/GET workspaces/datastores"
SECRETS = "arm/POST workspaces/datastores/listSecrets"


def test_connecting_contacts_nobody(opened: Opened, azureml_emulator: Emulator) -> None:
    target = opened().settings.target
    azureml_emulator.calls.clear()

    with connect(target) as platform:
        assert platform.address.startswith("azureml://")
        assert platform.capabilities.provider == "azureml"

    assert azureml_emulator.calls.list() == []
    assert azureml_emulator.refused == {}


def test_clients_are_made_once(backends: AzureMLBackends) -> None:
    with ThreadPoolExecutor(8) as threads:
        clients = set(threads.map(lambda _: id(backends.wire.client), range(8)))
        stores = set(threads.map(lambda _: id(backends.objects), range(8)))

    assert len(clients) == len(stores) == 1


def test_nobody_else_is_told_of_what_is_done(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    backends.objects.put("a", b"")
    backends.native.models.create_or_update  # noqa: B018 the client is there

    assert azureml_emulator.refused == {}


def test_what_may_not_be_done_twice_is_not_repeated(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    azureml_emulator.faults.set(Fault(matching=SECRETS, times=None, refused=Refused("UNAVAILABLE", "away")))

    with pytest.raises(UnavailableError, match="away"):
        backends.wire.ask(
            lambda: backends.native.datastores.get_default(include_secrets=True), operation="connect", resource=""
        )

    assert len(azureml_emulator.calls.list(SECRETS)) == 1


def test_what_was_refused_unseen_is_repeated_whatever_it_is(
    backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.01)
    azureml_emulator.faults.set(Fault(matching=SECRETS, refused=busy))

    backends.native.datastores.get_default(include_secrets=True)

    assert len(azureml_emulator.calls.list(SECRETS)) == 2


def test_nobody_is_waited_for_longer_than_a_call_may_take(opened: Opened, azureml_emulator: Emulator) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=3600)
    azureml_emulator.faults.set(Fault(matching=LIST, times=None, refused=busy))

    with pytest.raises(QuotaExceededError) as caught:
        opened().objects  # noqa: B018 it asks where the datastore is

    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 3600
    assert len(azureml_emulator.calls.list(LIST)) == 1


def test_an_answer_that_never_comes_is_given_up(opened: Opened, azureml_emulator: Emulator) -> None:
    azureml_emulator.faults.set(Fault(matching=LIST, times=None, delay_seconds=60))

    with pytest.raises(UnavailableError, match="the default datastore"):
        opened(timeout="0.5").objects  # noqa: B018 it asks where the datastore is


def begin_topic(backends: AzureMLBackends, name: str) -> Callable[[], LROPoller[Any]]:
    """Return what begins something that takes as long as the emulator's operations do."""
    client = EventGridManagementClient(backends.wire.credential, backends.settings.subscription)
    group = backends.settings.resource_group
    return lambda: client.topics.begin_create_or_update(group, name, Topic(location="westeurope"))


def test_the_end_of_what_takes_a_while_is_waited_for(backends: AzureMLBackends, workspace: str) -> None:
    made = backends.wire.finish(begin_topic(backends, workspace), operation="events.publish", resource=workspace)

    assert made.name == workspace


def test_what_does_not_end_is_waited_for_no_longer_than_a_call(
    opened: Opened, azureml_emulator: Emulator, cloud: AzureCloud, workspace: str
) -> None:
    begin = begin_topic(opened(), workspace)
    begun: list[LROPoller[Any]] = []
    cloud.operations.takes = timedelta(hours=1)

    with pytest.raises(WaitTimeoutError, match=r"events\.publish of 'mine' has not ended after 0\.5 s"):
        opened(timeout="0.5").wire.finish(
            lambda: begun.append(begin()) or begun[0], operation="events.publish", resource="mine"
        )

    azureml_emulator.clock.advance(timedelta(hours=2))
    begun[0].wait(60)
    assert begun[0].done(), "it went on"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AZURE_CLIENT_SECRET", "", "AZURE_CLIENT_SECRET is empty"),
        ("AZURE_TENANT_ID", "", "AZURE_TENANT_ID is empty"),
        ("AZURE_TENANT_ID", "mine/yours", "set are .*AZURE_TENANT_ID"),
        ("AZURE_TOKEN_CREDENTIALS", "mine", "AZURE_TOKEN_CREDENTIALS"),
    ],
)
def test_a_variable_that_says_wrongly_who_asks_is_named(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    target = opened().settings.target
    monkeypatch.setenv(variable, value)

    with connect(target) as platform, pytest.raises(ConfigurationError, match=told):
        platform.models.list()


def test_the_sdk_is_loaded_without_warnings(recwarn: pytest.WarningsRecorder, backends: AzureMLBackends) -> None:
    backends.native.datastores.get_default()

    assert [str(one.message) for one in recwarn] == []
    assert logging.getLogger("azure").level == logging.NOTSET, "nobody's logging is changed"


def test_quiet_leaves_warnings_logging_and_filters_of_other_threads_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inside, done = Event(), Event()
    log = logging.getLogger("azure.ai.ml._utils._experimental")
    before = (logging.getLogger("azure.ai.ml").level, log.level, warnings.showwarning)

    def hold() -> None:
        with quiet():
            inside.set()
            assert done.wait(30)
            log.warning("of the thread that wants quiet")
            log.error("an error of that thread")

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(hold)
            assert inside.wait(30)
            warnings.warn("of the other thread", UserWarning, stacklevel=1)
            log.warning("of the other thread")
            warnings.simplefilter("error", category=BytesWarning)
            mine = warnings.filters[0]
            done.set()
            holder.result()
        assert mine in warnings.filters, "a filter that is set meanwhile stays"

    assert [str(one.message) for one in seen] == ["of the other thread"]
    assert [one.message for one in caplog.records] == ["of the other thread", "an error of that thread"]
    assert (logging.getLogger("azure.ai.ml").level, log.level, warnings.showwarning) == before


@pytest.mark.parametrize("module", ["azure.ai.ml._schema.core.schema", "azure.core.tracing", "marshmallow.fields"])
def test_what_the_sdk_warns_of_itself_is_not_heard_whatever_filters_there_are(module: str) -> None:
    def warn(of: str) -> None:
        warnings.warn_explicit("old", DeprecationWarning, f"{of}.py", 1, module=of)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet():
            warn(module)
            with pytest.raises(DeprecationWarning):
                warn("mine.own")


def test_quiet_adds_no_filter_each_time() -> None:
    with quiet():
        before = list(warnings.filters)
    for _ in range(3):
        with quiet():
            pass

    assert list(warnings.filters) == before
