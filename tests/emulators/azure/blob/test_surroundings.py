"""The clock, faults, what is not emulated, other services of the emulator, and what is there after a restart."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceResponseError
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobServiceClient, StandardBlobTier
from tests.emulators.azure.blob.places import Place, refused

from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused

SECOND = timedelta(seconds=1)


@pytest.fixture
def blob(emulated: Place, azure_emulator: Emulator) -> BlobClient:
    azure_emulator.reset()
    azure_emulator.clock.freeze()
    return emulated.container().upload_blob("a", b"1")


@pytest.fixture(autouse=True)
def real_time_again(azure_emulator: Emulator) -> Iterator[None]:
    yield
    azure_emulator.reset()


class TestLeasesOnTheClock:
    def test_end_when_their_time_is_over(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        lease = blob.acquire_lease(15)
        assert blob.get_blob_properties().lease.duration == "fixed"
        azure_emulator.clock.advance(15 * SECOND)
        assert blob.get_blob_properties().lease.state == "expired"
        assert refused(lambda: blob.upload_blob(b"2", overwrite=True, lease=lease)) == (412, "LeaseLost")
        blob.upload_blob(b"3", overwrite=True)
        assert blob.get_blob_properties().lease.state == "available"
        assert refused(lambda: lease.renew())[1] == "LeaseIdMismatchWithLeaseOperation"

    def test_are_renewed_though_they_are_over(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        lease = blob.acquire_lease(15)
        azure_emulator.clock.advance(20 * SECOND)
        lease.renew()
        azure_emulator.clock.advance(14 * SECOND)
        assert blob.get_blob_properties().lease.state == "leased"

    def test_are_broken_after_a_while(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        lease = blob.acquire_lease(60)
        azure_emulator.clock.advance(10 * SECOND)
        assert BlobLeaseClient(blob).break_lease(lease_break_period=30) == 30
        assert blob.get_blob_properties().lease.state == "breaking"
        assert refused(lambda: blob.acquire_lease(15, lease_id=lease.id))[1] == "LeaseIsBreakingAndCannotBeAcquired"
        assert refused(lambda: lease.change(str(uuid.uuid4())))[1] == "LeaseIsBreakingAndCannotBeChanged"
        azure_emulator.clock.advance(30 * SECOND)
        assert blob.get_blob_properties().lease.state == "broken"
        blob.acquire_lease(15)

    def test_with_an_end_are_broken_at_that_at_the_latest(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        blob.acquire_lease(60)
        azure_emulator.clock.advance(50 * SECOND)
        assert BlobLeaseClient(blob).break_lease() == 10

    def test_let_their_holder_overwrite_though_it_says_create(self, blob: BlobClient) -> None:
        lease = blob.acquire_lease(15)
        blob.upload_blob(b"2", lease=lease)
        assert blob.download_blob().readall() == b"2"


def test_each_write_has_an_etag_of_its_own_while_the_clock_stands(blob: BlobClient) -> None:
    etags = {blob.upload_blob(bytes([number]), overwrite=True)["etag"] for number in range(20)}
    assert len(etags) == 20


def test_times_are_those_of_the_clock(emulated: Place, azure_emulator: Emulator) -> None:
    azure_emulator.clock.freeze(datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC))
    with emulated.container() as container:
        found = container.upload_blob("a", b"1").get_blob_properties()
    assert found.last_modified == found.creation_time == datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_of_many_who_create_one_wins(emulated: Place) -> None:
    with emulated.container() as container:

        def create(number: int) -> int | None:
            try:
                container.upload_blob("a", str(number).encode())
            except ResourceExistsError:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            won = [one for one in pool.map(create, range(40)) if one is not None]
        assert len(won) == 1
        assert container.download_blob("a").readall() == str(won[0]).encode()


def test_all_that_many_append_is_there(emulated: Place) -> None:
    with emulated.container() as container:
        blob = container.get_blob_client("log.txt")
        blob.create_append_blob()
        with ThreadPoolExecutor(8) as pool:
            offsets = list(
                pool.map(lambda number: blob.append_block(f"{number:03}\n")["blob_append_offset"], range(60))
            )
        lines = blob.download_blob().readall().decode().splitlines()
    assert sorted(lines) == [f"{number:03}" for number in range(60)]
    assert [lines[int(offset) // 4] for offset in offsets] == [f"{number:03}" for number in range(60)]


def test_a_reader_is_given_what_it_began_to_read(emulated: Place) -> None:
    content = os.urandom(16 << 20)
    with emulated.container() as container:
        blob = container.upload_blob("a", content)
        with httpx.stream("GET", emulated.signed(blob.url, "r"), trust_env=False, verify=False) as answer:
            pieces = answer.iter_bytes(1 << 16)
            read = next(pieces)
            blob.upload_blob(b"other", overwrite=True)
            read += b"".join(pieces)
        assert read == content
        assert blob.download_blob().readall() == b"other"


class TestFaults:
    def test_are_told_as_the_service_tells_them(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        azure_emulator.faults.set(Fault(matching="blob/GetBlob", refused=Refused("UNAVAILABLE", "busy")))
        assert refused(lambda: blob.download_blob()) == (503, "ServerBusy")
        assert blob.download_blob().readall() == b"1"

    def test_lose_the_answer_of_what_was_done(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        azure_emulator.faults.set(Fault(matching="blob/PutBlob", lose_response=True))
        with pytest.raises(ServiceResponseError):
            blob.upload_blob(b"2", overwrite=True)
        assert blob.download_blob().readall() == b"2"

    def test_lose_the_answer_of_a_read(self, blob: BlobClient, azure_emulator: Emulator) -> None:
        azure_emulator.faults.set(Fault(matching="blob/GetBlob", lose_response=True))
        with pytest.raises(ServiceResponseError):
            blob.download_blob()
        assert blob.download_blob().readall() == b"1"

    def test_calls_are_recorded_without_signatures(self, emulated: Place, azure_emulator: Emulator) -> None:
        with emulated.container() as container:
            blob = container.upload_blob("a", b"1")
            azure_emulator.calls.clear()
            httpx.get(emulated.signed(blob.url, "r"), trust_env=False, verify=False)
        call = azure_emulator.calls.list("blob/")[0]
        assert (call.name, call.status) == ("blob/GetBlob", "OK")
        assert "sig" not in call.request


class TestWhatIsNotEmulated:
    def test_names_itself(self, blob: BlobClient) -> None:
        for call, name in (
            (blob.create_snapshot, "snapshots are not emulated"),
            (lambda: blob.set_blob_tags({"a": "b"}), "blob index tags are not emulated"),
            (lambda: blob.set_standard_blob_tier(StandardBlobTier.COOL), "access tiers are not emulated"),
            (lambda: blob.create_page_blob(512), "page blobs are not emulated"),
            (lambda: blob.undelete_blob(), "soft deletion is not emulated"),
            (lambda: blob.upload_blob(b"1", overwrite=True, tags={"a": "b"}), "blob index tags are not emulated"),
            (lambda: blob.stage_block_from_url("1", blob.url), "from a URL is not emulated"),
        ):
            with pytest.raises(HttpResponseError, match=name) as caught:
                call()
            assert caught.value.status_code == 501

    def test_accounts_that_there_are_not_are_not_found(self, emulated: Place) -> None:
        url = emulated.url.replace(emulated.account, "st" + "0" * 20)
        with BlobServiceClient(url, credential=emulated.key, retry_total=0) as service:
            assert refused(lambda: list(service.list_containers())) == (404, "AccountNotFound")


class TestSharing:
    def test_writes_what_clients_read_and_reads_what_they_write(
        self, emulated: Place, azure_emulator: Emulator, tmp_path: Path
    ) -> None:
        blobs = azure_emulator.cloud(AzureCloud).blobs
        with emulated.container() as container:
            name = str(container.container_name)
            folder = tmp_path / "model"
            (folder / "sub").mkdir(parents=True)
            (folder / "a.txt").write_text("A")
            (folder / "sub" / "b.txt").write_text("B")
            assert blobs.upload(folder, emulated.account, name, "models/1") == ["models/1/a.txt", "models/1/sub/b.txt"]
            assert container.download_blob("models/1/sub/b.txt").readall() == b"B"
            container.upload_blob("models/10/c.txt", b"C")
            files = blobs.download(emulated.account, name, "models/1", tmp_path / "out")
            assert [file.relative_to(tmp_path / "out").as_posix() for file in files] == ["a.txt", "sub/b.txt"]
            one = blobs.download(emulated.account, name, "models/10/c.txt", tmp_path / "one")
            assert [file.name for file in one] == ["c.txt"]
            blobs.append(emulated.account, name, "log.txt", b"1\n")
            blobs.append(emulated.account, name, "log.txt", b"2\n")
            assert container.download_blob("log.txt").readall() == b"1\n2\n"
            container.get_blob_client("log.txt").append_block(b"3\n")
            assert blobs.read(emulated.account, name, "log.txt") == b"1\n2\n3\n"
            assert blobs.path_of(emulated.account, name, "models/1/a.txt").read_bytes() == b"A"
            blobs.delete(emulated.account, name, "log.txt")
            assert not blobs.exists(emulated.account, name, "log.txt")
            with pytest.raises(Refused, match="The specified blob does not exist"):
                blobs.read(emulated.account, name, "log.txt")

    def test_gives_urls_that_open_what_they_name(
        self, emulated: Place, azure_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key, value in azure_emulator.environment().items():
            monkeypatch.setenv(key, value)
        blobs = azure_emulator.cloud(AzureCloud).blobs
        with emulated.container() as container:
            name = str(container.container_name)
            blobs.write(emulated.account, name, "a b/ü", b"1", metadata={"k": "v"})
            url = blobs.blob_url(emulated.account, name, "a b/ü", permissions="r", lasts=timedelta(hours=1))
            with BlobClient.from_blob_url(url) as reader:
                assert reader.download_blob().readall() == b"1"
                assert reader.get_blob_properties().metadata == {"k": "v"}


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    def place(emulator: Emulator) -> Place:
        cloud = emulator.cloud(AzureCloud)
        found = cloud.resources.get(cloud.ensure_workspace("kept", group="g"))
        assert found is not None
        account = found["properties"]["storageAccount"].rpartition("/")[2]
        return Place(name="", url=f"{emulator.url}/{account}", account=account, key=cloud.blobs.key(account))

    with azureml_emulator(state=tmp_path) as emulator:
        first = place(emulator)
        with first.service() as service:
            container = service.create_container("kept")
            before = container.upload_blob("a", b"1" * 5000, metadata={"k": "v"}).get_blob_properties()
            container.get_blob_client("b").stage_block("0001", b"waiting")
            container.upload_blob("gone", b"2").delete_blob()
    contents = tmp_path / "blob" / "content"
    assert len(list(contents.iterdir())) == 2
    (contents / "of-a-killed-process").write_bytes(b"never referred to")
    with azureml_emulator(state=tmp_path) as emulator:
        second = place(emulator)
        assert second.key == first.key
        with second.service() as service:
            blob = service.get_blob_client("kept", "a")
            after = blob.get_blob_properties()
            assert (after.etag, after.metadata, after.last_modified) == (before.etag, {"k": "v"}, before.last_modified)
            assert blob.download_blob().readall() == b"1" * 5000
            waiting = service.get_blob_client("kept", "b")
            waiting.commit_block_list(["0001"])
            assert waiting.download_blob().readall() == b"waiting"
    assert len(list(contents.iterdir())) == 2
