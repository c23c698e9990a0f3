"""Settings of the Azure ML provider: nothing malformed reaches the wire, and a target says all that was set."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.azureml.settings import AzureMLSettings

SUBSCRIPTION = "00000000-0000-0000-0000-00000000e001"
HERE = f"azureml://{SUBSCRIPTION}/my-group/my_workspace"


def test_a_target_names_the_workspace() -> None:
    read = AzureMLSettings.from_target(HERE)

    assert (read.subscription, read.resource_group, read.workspace) == (SUBSCRIPTION, "my-group", "my_workspace")
    assert read.workspace_id == (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/my-group"
        "/providers/Microsoft.MachineLearningServices/workspaces/my_workspace"
    )
    assert read.target == read.address == HERE
    assert read.timeout == timedelta(minutes=1)


def test_a_topic_is_looked_for_in_the_workspaces_resource_group() -> None:
    topic = "https://my-bus.westeurope-1.eventgrid.azure.net/topics/mlops"
    read = AzureMLSettings(subscription=SUBSCRIPTION, resource_group="g", workspace="www", topic=topic)

    assert read.topic_id == (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.EventGrid/namespaces/my-bus/topics/mlops"
    )
    assert AzureMLSettings.from_target(read.target) == read
    assert AzureMLSettings.from_target(HERE).topic_id == ""


def test_what_was_set_is_said_to_another_process() -> None:
    given = f"{HERE}?datastore=models&prefix=team%2Fml&timeout=90.0&cloud_url=none"

    read = AzureMLSettings.from_target(given)

    assert AzureMLSettings.from_target(read.target) == read
    assert (read.datastore, read.prefix, read.cloud_url) == ("models", "team/ml", None)
    assert read.address == HERE


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("azureml://my-subscription/g/w", "subscription"),
        (f"azureml://{SUBSCRIPTION}/g", "workspace"),
        (f"azureml://{SUBSCRIPTION}/g/w!", "workspace"),
        (f"azureml://{SUBSCRIPTION}/a*b/workspace", "resource_group"),
        (f"{HERE}?datastore=a-b", "datastore"),
        (f"{HERE}?prefix=../up", "prefix"),
        (f"{HERE}?cloud_url=management.azure.com", "cloud_url"),
        (f"{HERE}?environment=any", "environment"),
        (f"{HERE}?compute=1", "compute"),
        (f"{HERE}?timeout=0", "timeout"),
        (f"{HERE}?bucket=b", "bucket"),
        (f"{HERE}?topic=mlops", "topic"),
        (f"{HERE}?topic=http%3A%2F%2Fbus.westeurope-1.eventgrid.azure.net%2Ftopics%2Fmlops", "topic"),
        (f"{HERE}?event_subscription=worker", "event_subscription: it is a subscription of the topic"),
        (f"{HERE}?reporter=audit-log", "reporter"),
        (f"{HERE}?push_tenant=contoso", "push_tenant"),
        (f"{HERE}?push_account=event-grid", "push_account"),
        (f"{HERE}?push_origins=%2A", "push_origins"),
        (f"azureml://user:secret@{SUBSCRIPTION}/g/workspace", "credentials"),
    ],
)
def test_what_is_malformed_is_named_before_anything_is_asked(target: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as caught:
        AzureMLSettings.from_target(target)

    assert "secret" not in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureMLSettings.from_target("azureml://no/a*b/!?datastore=a-b")

    for name in ("subscription", "resource_group", "workspace", "datastore"):
        assert f"{name}: " in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "rediss://flights.redis.cache.windows.net:6380",
        "rediss://flights.westeurope.redis.azure.net:10000",
        "redis://127.0.0.1:6379",
        "redis://localhost:6379/3",
        "redis://[::1]:6379",
    ],
)
def test_redis_is_named_by_its_address(url: str) -> None:
    read = AzureMLSettings.from_target(f"{HERE}?{urlencode({'redis_url': url})}")

    assert read.redis_url == url
    assert AzureMLSettings.from_target(read.target) == read


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("rediss://:secret@flights.redis.cache.windows.net:6380", "no credentials"),
        ("rediss://user:secret@flights.redis.cache.windows.net", "no credentials"),
        ("rediss://flights.redis.cache.windows.net?ssl_cert_reqs=none&password=secret", "not an address"),
        ("rediss://flights.redis.cache.windows.net/secret", "not an address"),
        ("https://flights.redis.cache.windows.net", "not an address"),
        ("rediss://", "not an address"),
        ("flights.redis.cache.windows.net:6380", "not an address"),
        ("redis://10.0.0.4:6379", "another machine without TLS"),
        ("redis://cache:6379", "another machine without TLS"),
    ],
)
def test_an_address_of_redis_holds_no_secret_and_goes_nowhere_without_tls(url: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as caught:
        AzureMLSettings.from_target(f"{HERE}?{urlencode({'redis_url': url})}")

    assert "secret@" not in str(caught.value)
    assert "password=secret" not in str(caught.value)


def test_redis_on_another_machine_without_tls_is_used_if_it_is_said() -> None:
    query = urlencode({"redis_url": "redis://10.0.0.4:6379", "redis_unencrypted": "true"})

    assert AzureMLSettings.from_target(f"{HERE}?{query}").redis_url == "redis://10.0.0.4:6379"


def test_how_long_redis_keeps_what_has_expired_is_said_in_seconds() -> None:
    read = AzureMLSettings.from_target(f"{HERE}?redis_forget_after=86400")

    assert read.redis_forget_after == timedelta(days=1)
    assert AzureMLSettings.from_target(read.target) == read
    assert AzureMLSettings.from_target(f"{HERE}?redis_forget_after=none").redis_forget_after is None
    with pytest.raises(ConfigurationError, match="redis_forget_after"):
        AzureMLSettings.from_target(f"{HERE}?redis_forget_after=-1")
