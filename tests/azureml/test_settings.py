"""Settings of the Azure ML provider: nothing malformed reaches the wire, and a target says all that was set."""

from __future__ import annotations

from datetime import timedelta

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
