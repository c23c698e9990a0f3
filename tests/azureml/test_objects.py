"""Where ledger, inbox and artifacts are: the container of a datastore, with the caller's own token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import pytest

from cloudmlops import Stage, connect
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    AuthenticationError,
    CloudMLOpsError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.storage.opening import open_store
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened

pytestmark = pytest.mark.conformance(ci=True)


def test_the_workspace_s_default_datastore_holds_them(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    default = backends.native.datastores.get_default()

    assert backends.objects.uri == (
        f"abfss://{default.container_name}@{default.account_name}.dfs.core.windows.net/cloudmlops"
    )
    backends.objects.put("a/b", b"c")
    assert azureml_emulator.calls.list("blob/PutBlob")[-1].resource == f"/{default.container_name}/cloudmlops/a/b"
    assert azureml_emulator.calls.list("listSecrets") == [], "nobody's keys are asked for"


def test_another_datastore_and_folder_can_be_named(opened: Opened) -> None:
    backends = opened(datastore="workspaceartifactstore", prefix="")

    assert backends.objects.uri.startswith("abfss://azureml@")
    assert backends.objects.uri.endswith(".dfs.core.windows.net")
    backends.objects.put("a", b"b")
    assert backends.objects.get("a") == b"b"


def test_a_datastore_on_an_account_with_folders_is_taken_too(opened: Opened) -> None:
    lake = ml().entities.AzureDataLakeGen2Datastore(name="lake", account_name="lakes", filesystem="models")
    opened().native.datastores.create_or_update(lake)

    assert opened(datastore="lake").objects.uri == "abfss://models@lakes.dfs.core.windows.net/cloudmlops"


def test_a_datastore_that_is_no_blob_storage_is_refused(opened: Opened) -> None:
    share = ml().entities.AzureFileDatastore(
        name="share",
        account_name="shares",
        file_share_name="models",
        credentials=ml().entities.AccountKeyConfiguration(account_key="a2V5"),
    )
    opened().native.datastores.create_or_update(share)

    with pytest.raises(ConfigurationError, match=r"datastore 'share' is of type .*, and not on Blob storage"):
        opened(datastore="share").objects  # noqa: B018 it asks where the datastore is


def test_a_datastore_that_is_not_there_is_named(opened: Opened) -> None:
    with pytest.raises(NotFoundError, match="Could not find datastore: none"):
        opened(datastore="none").objects  # noqa: B018 it asks where the datastore is


def test_objects_are_listed_in_order_and_removed(backends: AzureMLBackends) -> None:
    for key in ("b/2", "b/10", "a", "b/1"):
        backends.objects.put(key, b"")

    assert list(backends.objects.list("b/")) == ["b/1", "b/10", "b/2"]
    assert list(backends.objects.list("b/", after="b/10")) == ["b/2"]
    backends.objects.delete("b/2")
    backends.objects.delete("b/2")
    assert not backends.objects.exists("b/2")
    with pytest.raises(NotFoundError, match="there is no object 'b/2'"):
        backends.objects.get("b/2")


def test_of_many_who_create_at_once_one_did(opened: Opened) -> None:
    writers = [opened() for _ in range(6)]
    for number in range(5):
        together = Barrier(len(writers))

        def create(writer: AzureMLBackends, key: str = f"ledger/{number}", start: Barrier = together) -> bool:
            start.wait()
            return writer.objects.create(key, b"mine")

        with ThreadPoolExecutor(len(writers)) as threads:
            assert sorted(threads.map(create, writers)) == [False] * 5 + [True]


@pytest.mark.parametrize("lost", range(1, 6))
def test_a_lost_response_of_the_ledger_s_store_writes_nothing_twice(
    opened: Opened, azureml_emulator: Emulator, tmp_path: Path, lost: int
) -> None:
    with connect(opened().settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))
        azureml_emulator.faults.set(Fault(matching="blob/PutBlob", first=lost, lose_response=True))

        platform.models.promote("churn", "1", to=Stage.CANDIDATE)

        assert [entry.kind for entry in platform.models.history("churn")] == [
            EntryKind.REGISTERING,
            EntryKind.REGISTERED,
            EntryKind.MOVED,
        ]
        assert platform.models.verify("churn").ok


@pytest.mark.parametrize("ended", range(1, 26, 4))
def test_a_registration_that_ended_anywhere_is_finished_by_the_same_call(
    opened: Opened, azureml_emulator: Emulator, tmp_path: Path, ended: int
) -> None:
    artifact = written_model(tmp_path / "model")
    backends = opened()
    with connect(backends.settings.target) as platform:
        platform.models.list()  # the way is known
        dead = Refused("INVALID_ARGUMENT", "this process has ended")
        azureml_emulator.faults.set(Fault(matching="*", first=ended, times=None, refused=dead))
        with suppress(CloudMLOpsError):
            platform.models.register("churn", artifact, request="nightly")
    azureml_emulator.faults.clear()

    with connect(backends.settings.target) as platform:
        assert platform.models.register("churn", artifact, request="nightly").version == "1"
        assert platform.models.repair("churn").ok
        kinds = [entry.kind for entry in platform.models.history("churn") if entry.kind is not EntryKind.REPAIRED]
        assert kinds == [EntryKind.REGISTERING, EntryKind.REGISTERED]
    assert [known.version for known in backends.native.models.list(name="churn")] == ["1"]


def test_a_store_that_was_away_is_asked_again(backends: AzureMLBackends, azureml_emulator: Emulator) -> None:
    backends.objects.put("a", b"b")
    azureml_emulator.faults.set(Fault(matching="blob/GetBlob", times=2, refused=Refused("UNAVAILABLE", "away")))

    assert backends.objects.get("a") == b"b"


def test_a_token_that_storage_finds_too_old_is_told_as_such(backends: AzureMLBackends, cloud: AzureCloud) -> None:
    backends.objects.put("a", b"b")
    cloud.tokens.expire()

    with pytest.raises((AuthenticationError, UnavailableError)):
        backends.objects.get("a")


@pytest.mark.parametrize(
    "uri",
    [
        "abfss://container@account",
        "abfss://container",
        "abfss://account.dfs.core.windows.net/prefix",
        "abfss://container:secret@account.dfs.core.windows.net",
        "abfss://container@account.dfs.core.windows.net/p?sig=secret",
    ],
)
def test_an_address_that_names_no_container_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(uri)

    assert "secret" not in str(caught.value)


def test_an_object_that_may_not_be_removed_is_told_as_a_refusal(opened: Opened) -> None:
    opened().objects.put("inbox/a", b"b")
    with pytest.raises(PermissionDeniedError, match="Storage Blob Data Contributor"):
        opened("reader").objects.delete("inbox/a")
    assert opened().objects.get("inbox/a") == b"b"


def test_a_refusal_that_may_be_the_networks_is_told_as_such(opened: Opened, azureml_emulator: Emulator) -> None:
    objects = opened().objects
    kept_out = Refused(
        "PERMISSION_DENIED", "This request is not authorized to perform this operation.", reason="AuthorizationFailure"
    )
    azureml_emulator.faults.set(Fault(matching="blob/*", times=None, refused=kept_out))

    with pytest.raises(PermissionDeniedError, match="network rules may keep this machine out"):
        objects.get("inbox/a")
