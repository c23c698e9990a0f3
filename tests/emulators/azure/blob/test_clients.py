"""Clients of others: obstore, adlfs and deltalake, at the account's own host and at the plain address."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import adlfs
import deltalake
import obstore
import pyarrow as pa
import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError
from obstore.store import AzureStore
from tests.emulators.azure.conftest import Azure

CONTAINER = "data"


@pytest.fixture
def account(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name)  # or obstore would prefer a token to the key
    found = azure.cloud.resources.get(azure.workspace_id)
    assert found is not None
    name = str(found["properties"]["storageAccount"]).rpartition("/")[2]
    azure.cloud.blobs.make_container(name, CONTAINER)
    return name


@pytest.fixture(params=["host", "address"])
def store(request: pytest.FixtureRequest, azure: Azure, account: str) -> AzureStore:
    key = azure.cloud.blobs.key(account)
    if request.param == "host":
        return AzureStore(CONTAINER, account_name=account, account_key=key)
    endpoint = f"{azure.emulator.url}/{account}"
    return AzureStore(
        CONTAINER, account_name=account, account_key=key, endpoint=endpoint, client_options={"allow_http": True}
    )


class TestObstore:
    def test_puts_gets_and_lists(self, store: AzureStore) -> None:
        obstore.put(store, "x/ä 1.txt", b"0123456789", attributes={"Content-Type": "text/plain", "k": "v"})
        obstore.put(store, "x/y/2.txt", b"")
        found = obstore.get(store, "x/ä 1.txt")
        assert found.attributes == {"Content-Type": "text/plain", "k": "v"}
        assert found.bytes() == b"0123456789"
        assert obstore.get_range(store, "x/ä 1.txt", start=2, end=5) == b"234"
        assert obstore.get_ranges(store, "x/ä 1.txt", starts=[0, 8], ends=[1, 10]) == [b"0", b"89"]
        assert [one["path"] for page in obstore.list(store) for one in page] == ["x/y/2.txt", "x/ä 1.txt"]
        assert [one["path"] for page in obstore.list(store, "x", offset="x/y/2.txt") for one in page] == ["x/ä 1.txt"]
        listed = obstore.list_with_delimiter(store, "x")
        assert (listed["common_prefixes"], [one["path"] for one in listed["objects"]]) == (["x/y"], ["x/ä 1.txt"])
        assert obstore.get(store, "x/y/2.txt").bytes() == b""

    def test_of_many_who_create_one_wins(self, store: AzureStore) -> None:
        def create(number: int) -> bool:
            try:
                obstore.put(store, "head.json", str(number).encode(), mode="create")
            except AlreadyExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(create, range(40))) == 1

    def test_updates_what_it_read_and_nothing_else(self, store: AzureStore) -> None:
        first = obstore.put(store, "a", b"1")
        obstore.put(store, "a", b"2", mode={"e_tag": first["e_tag"]})
        with pytest.raises(PreconditionError):
            obstore.put(store, "a", b"3", mode={"e_tag": first["e_tag"]})
        assert obstore.get(store, "a").bytes() == b"2"

    def test_puts_what_is_large_in_parts(self, store: AzureStore) -> None:
        content = os.urandom(12 << 20)
        obstore.put(store, "large", content, use_multipart=True, chunk_size=5 << 20)
        assert obstore.get(store, "large").bytes() == content

    def test_copies_renames_and_deletes(self, store: AzureStore) -> None:
        obstore.put(store, "a", b"1")
        obstore.copy(store, "a", "b")
        with pytest.raises(AlreadyExistsError):
            obstore.copy(store, "a", "b", overwrite=False)
        obstore.rename(store, "b", "c")
        obstore.delete(store, ["a", "c"])
        assert [one for page in obstore.list(store) for one in page] == []

    def test_signs_urls(self, store: AzureStore) -> None:
        obstore.put(store, "a", b"1")
        assert "sig=" in obstore.sign(store, "GET", "a", timedelta(hours=1))

    def test_opens_with_a_signature(self, azure: Azure, account: str) -> None:
        signed = azure.cloud.blobs.account_sas(account, permissions="rcuwdl", lasts=timedelta(hours=1))
        store = AzureStore(CONTAINER, account_name=account, sas_key=signed)
        obstore.put(store, "a", b"1")
        obstore.copy(store, "a", "b")
        assert [one["path"] for page in obstore.list(store) for one in page] == ["a", "b"]
        obstore.delete(store, ["a", "b"])
        assert [one for page in obstore.list(store) for one in page] == []

    def test_opens_with_a_token_what_its_role_allows(self, azure: Azure, account: str) -> None:
        who = azure.principal("nobody")
        store = AzureStore(
            CONTAINER,
            account_name=account,
            client_id=who.client_id,
            client_secret=who.secret,
            tenant_id=azure.cloud.tokens.directory.tenant,
        )
        with pytest.raises(PermissionDeniedError, match="AuthorizationPermissionMismatch"):
            obstore.put(store, "a", b"1")
        role = azure.cloud.access.role("Storage Blob Data Contributor")
        assert role is not None
        workspace = azure.cloud.resources.get(azure.workspace_id)
        assert workspace is not None
        azure.cloud.access.assign(workspace["properties"]["storageAccount"], who.object_id, role)
        obstore.put(store, "a", b"1")
        assert obstore.get(store, "a").bytes() == b"1"


class TestAdlfs:
    @pytest.fixture
    def files(self, azure: Azure, account: str) -> adlfs.AzureBlobFileSystem:
        key = azure.cloud.blobs.key(account)
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": account,
            "AccountKey": key,
            "BlobEndpoint": f"{azure.emulator.url}/{account}",
        }
        connection = ";".join(f"{name}={value}" for name, value in parts.items())
        return adlfs.AzureBlobFileSystem(connection_string=connection, skip_instance_cache=True)

    def test_is_a_file_system(self, files: adlfs.AzureBlobFileSystem) -> None:
        files.pipe({"data/p/a.bin": b"123", "data/p/q/b.bin": b"4"})
        assert sorted(files.find("data")) == ["data/p/a.bin", "data/p/q/b.bin"]
        assert sorted(files.ls("data/p", detail=False)) == ["data/p/a.bin", "data/p/q"]
        assert files.isdir("data/p")
        assert files.cat_file("data/p/a.bin", start=1, end=2) == b"2"
        files.cp("data/p/a.bin", "data/p/c.bin")
        assert sorted(files.glob("data/p/*.bin")) == ["data/p/a.bin", "data/p/c.bin"]
        files.rm("data/p", recursive=True)
        assert not files.exists("data/p/a.bin")
        assert "azureml" in files.ls("", detail=False)

    @pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # so adlfs does
    def test_writes_what_is_large_in_blocks(self, files: adlfs.AzureBlobFileSystem) -> None:
        content = os.urandom(11 << 20)
        with files.open("data/large.bin", "wb") as file:
            for start in range(0, len(content), 3 << 20):
                file.write(content[start : start + (3 << 20)])
        with files.open("data/large.bin", "rb") as file:
            assert file.read() == content

    def test_appends(self, files: adlfs.AzureBlobFileSystem) -> None:
        for line in (b"one\n", b"two\n"):
            with files.open("data/log.txt", "ab") as file:
                file.write(line)
        assert files.cat_file("data/log.txt") == b"one\ntwo\n"

    def test_of_a_child_behind_the_redirect_reaches_the_account_itself(self, azure: Azure, account: str) -> None:
        program = (
            "import adlfs, sys\n"
            "files = adlfs.AzureBlobFileSystem(account_name=sys.argv[1], account_key=sys.argv[2])\n"
            "files.pipe('data/a', b'1')\n"
            "print(files.cat('data/a').decode(), files.ls('data', detail=False))\n"
        )
        said = subprocess.run(
            [sys.executable, "-c", program, account, azure.cloud.blobs.key(account)],
            env=azure.emulator.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == "1 ['data/a']"


class TestDeltalake:
    def test_writes_appends_and_reads_tables(self, azure: Azure, account: str) -> None:
        options = {"account_name": account, "account_key": azure.cloud.blobs.key(account)}
        table = f"abfss://{CONTAINER}@{account}.dfs.core.windows.net/table"  # deltalake before 1.6 drops az:// paths
        deltalake.write_deltalake(table, pa.table({"a": [0]}), storage_options=options)

        def append(number: int) -> None:
            rows = pa.table({"a": [number]})
            deltalake.write_deltalake(table, rows, storage_options=options, mode="append")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append, range(1, 9)))
        found = deltalake.DeltaTable(table, storage_options=options)
        assert found.version() == 8
        assert sorted(found.to_pyarrow_table()["a"].to_pylist()) == list(range(9))
