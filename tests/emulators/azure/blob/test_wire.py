"""What the wire does, through Azure's own client: held on our emulator, and on Azurite where it is installed."""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from azure.core import MatchConditions
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobLeaseClient,
    BlobProperties,
    ContainerClient,
    ContentSettings,
    generate_blob_sas,
)
from tests.emulators.azure.blob.places import Place, refused


class TestContainers:
    def test_are_made_once(self, place: Place) -> None:
        with place.container() as made:
            assert made.exists()
            assert refused(made.create_container) == (409, "ContainerAlreadyExists")

    def test_have_metadata(self, container: ContainerClient) -> None:
        container.set_container_metadata({"team": "forecasting"})
        assert container.get_container_properties().metadata == {"team": "forecasting"}

    def test_are_listed_by_prefix_and_by_pages(self, place: Place) -> None:
        prefix = f"listed-{uuid.uuid4().hex[:8]}"
        service = place.service()
        for number in range(3):
            service.create_container(f"{prefix}-{number}", metadata={"number": str(number)})
        pages = service.list_containers(name_starts_with=prefix, include_metadata=True, results_per_page=2).by_page()
        found = [[(one.name, one.metadata) for one in page] for page in pages]
        assert found == [
            [(f"{prefix}-0", {"number": "0"}), (f"{prefix}-1", {"number": "1"})],
            [(f"{prefix}-2", {"number": "2"})],
        ]

    def test_go_with_all_that_is_in_them(self, place: Place) -> None:
        made = place.container()
        made.upload_blob("a", b"1")
        made.delete_container()
        assert not made.exists()
        assert refused(lambda: made.upload_blob("a", b"1")) == (404, "ContainerNotFound")
        assert refused(lambda: list(made.list_blobs())) == (404, "ContainerNotFound")
        assert refused(made.delete_container) == (404, "ContainerNotFound")

    @pytest.mark.parametrize("name", ["Upper", "a", "two--dashes", "-first", "under_score"], ids=str)
    def test_have_names_of_lower_case_letters_digits_and_single_dashes(self, place: Place, name: str) -> None:
        status, code = refused(lambda: place.service().create_container(name))
        assert status == 400
        assert code in ("InvalidResourceName", "OutOfRangeInput")


class TestUploads:
    def test_a_blob_has_what_was_put(self, container: ContainerClient) -> None:
        settings = ContentSettings(content_type="text/plain", cache_control="no-cache", content_language="de")
        blob = container.upload_blob("folder/ä b%c.txt", b"hello", metadata={"k": "v"}, content_settings=settings)
        found = blob.get_blob_properties()
        assert blob.download_blob().readall() == b"hello"
        assert (found.size, found.metadata, found.blob_type) == (5, {"k": "v"}, "BlockBlob")
        assert found.content_settings.content_type == "text/plain"
        assert found.content_settings.cache_control == "no-cache"
        assert found.content_settings.content_language == "de"
        assert found.content_settings.content_md5 == bytearray(hashlib.md5(b"hello").digest())
        assert found.etag.startswith('"0x')
        assert found.creation_time <= found.last_modified

    def test_a_large_blob_goes_up_in_blocks_and_comes_down_in_ranges(
        self, place: Place, file_of_nine_mebibytes: Path
    ) -> None:
        made = place.container(max_single_put_size=1 << 20, max_block_size=1 << 20, max_chunk_get_size=2 << 20)
        with file_of_nine_mebibytes.open("rb") as file:
            blob = made.upload_blob("large", file, max_concurrency=4)
        content = file_of_nine_mebibytes.read_bytes()
        assert blob.download_blob(max_concurrency=3).readall() == content
        assert blob.download_blob(offset=1_000_001, length=3_000_003).readall() == content[1_000_001:4_000_004]
        committed, uncommitted = blob.get_block_list("all")
        assert sum(one.size for one in committed) == len(content)
        assert uncommitted == []

    def test_an_empty_blob_is_read(self, container: ContainerClient) -> None:
        blob = container.upload_blob("empty", b"")
        assert blob.download_blob().readall() == b""

    def test_content_that_is_not_what_its_md5_says_is_refused(self, place: Place, container: ContainerClient) -> None:
        place.differs("Azurite 3.35 answers InvalidOperation; Md5Mismatch is documented")
        wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        blob = container.get_blob_client("a")
        assert refused(lambda: blob.upload_blob(b"hello", headers={"Content-MD5": wrong})) == (400, "Md5Mismatch")
        assert not blob.exists()

    def test_overwriting_replaces_settings_and_metadata(self, container: ContainerClient) -> None:
        blob = container.upload_blob(
            "a", b"1", metadata={"k": "v"}, content_settings=ContentSettings(content_type="text/plain")
        )
        before = blob.get_blob_properties()
        blob.upload_blob(b"22", overwrite=True)
        after = blob.get_blob_properties()
        assert (after.size, after.metadata) == (2, {})
        assert after.content_settings.content_type == "application/octet-stream"
        assert after.etag != before.etag
        assert after.creation_time == before.creation_time

    def test_properties_and_metadata_are_set_as_a_whole(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1", metadata={"k": "v"})
        blob.set_blob_metadata({"other": "1"})
        blob.set_http_headers(ContentSettings(content_type="text/csv", content_encoding="identity"))
        found = blob.get_blob_properties()
        assert found.metadata == {"other": "1"}
        assert (found.content_settings.content_type, found.content_settings.content_encoding) == (
            "text/csv",
            "identity",
        )
        assert blob.download_blob().readall() == b"1"

    def test_metadata_must_be_named_by_identifiers(self, container: ContainerClient) -> None:
        assert refused(lambda: container.upload_blob("a", b"1", metadata={"1-a": "b"})) == (400, "InvalidMetadata")


class TestBlocks:
    def test_count_when_they_are_committed(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        blob.stage_block("0001", b"one")
        blob.stage_block("0002", b"two")
        assert not blob.exists()
        assert [one.name for one in container.list_blobs()] == []
        listed = list(container.list_blobs(include=["uncommittedblobs"]))
        assert [(one.name, one.size) for one in listed] == [("a", 0)]
        blob.commit_block_list([BlobBlock("0002"), BlobBlock("0001")], metadata={"k": "v"})
        assert blob.download_blob().readall() == b"twoone"
        assert blob.get_blob_properties().metadata == {"k": "v"}
        committed, uncommitted = blob.get_block_list("all")
        assert [(one.id, one.size) for one in committed] == [("0002", 3), ("0001", 3)]
        assert uncommitted == []

    def test_are_taken_from_where_the_list_says(self, place: Place, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        blob.stage_block("0001", b"old")
        blob.commit_block_list([BlobBlock("0001")])
        blob.stage_block("0001", b"new")
        one = base64.b64encode(b"0001").decode()
        wanted = f"<BlockList><Committed>{one}</Committed><Uncommitted>{one}</Uncommitted></BlockList>"
        url = f"{place.signed(blob.url, 'rw')}&comp=blocklist"
        assert httpx.put(url, content=wanted, trust_env=False, verify=False).status_code == 201
        assert blob.download_blob().readall() == b"oldnew"

    def test_that_were_not_committed_go_with_the_commit(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        blob.stage_block("0001", b"1")
        blob.stage_block("0002", b"2")
        blob.commit_block_list([BlobBlock("0001")])
        assert refused(lambda: blob.commit_block_list([BlobBlock("0002")])) == (400, "InvalidBlockList")
        assert blob.download_blob().readall() == b"1"

    def test_are_forgotten_when_the_blob_is_put_whole(self, place: Place, container: ContainerClient) -> None:
        place.differs("Azurite 3.35 keeps them, against the documentation of Put Block")
        blob = container.get_blob_client("a")
        blob.stage_block("0001", b"1")
        blob.upload_blob(b"whole", overwrite=True)
        assert refused(lambda: blob.commit_block_list([BlobBlock("0001")])) == (400, "InvalidBlockList")

    def test_have_ids_of_one_length(self, place: Place, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        blob.stage_block("0001", b"1")
        assert refused(lambda: blob.stage_block("00000000002", b"2")) == (400, "InvalidBlobOrBlock")
        blob.commit_block_list([BlobBlock("0001")])
        blob.stage_block("0002", b"2")
        blob.commit_block_list([BlobBlock("0001"), BlobBlock("0002")])
        assert blob.download_blob().readall() == b"12"

    def test_can_be_none_at_all(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        blob.commit_block_list([])
        assert blob.download_blob().readall() == b""

    def test_of_an_append_blob_are_refused(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        blob.create_append_blob()
        assert refused(lambda: blob.commit_block_list([])) == (409, "InvalidBlobType")


class TestAppending:
    def test_adds_at_the_end(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("log.txt")
        blob.create_append_blob(content_settings=ContentSettings(content_type="text/plain"))
        first = blob.append_block(b"one\n")
        second = blob.append_block(b"two\n")
        assert (first["blob_append_offset"], second["blob_append_offset"]) == ("0", "4")
        assert second["blob_committed_block_count"] == 2
        assert blob.download_blob().readall() == b"one\ntwo\n"
        assert blob.get_blob_properties().blob_type == "AppendBlob"

    def test_happens_at_the_expected_place_or_not_at_all(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("log.txt")
        blob.create_append_blob()
        blob.append_block(b"1234", appendpos_condition=0)
        assert refused(lambda: blob.append_block(b"5", appendpos_condition=0)) == (
            412,
            "AppendPositionConditionNotMet",
        )
        assert refused(lambda: blob.append_block(b"56", maxsize_condition=5)) == (412, "MaxBlobSizeConditionNotMet")
        blob.append_block(b"5", maxsize_condition=5)
        assert blob.download_blob().readall() == b"12345"

    def test_to_a_block_blob_is_refused(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        assert refused(lambda: blob.append_block(b"2")) == (409, "InvalidBlobType")

    def test_to_nothing_is_refused(self, container: ContainerClient) -> None:
        assert refused(lambda: container.get_blob_client("a").append_block(b"2")) == (404, "BlobNotFound")


class TestConditions:
    def test_a_create_finds_what_is_there(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        assert refused(lambda: blob.upload_blob(b"2")) == (409, "BlobAlreadyExists")
        blob.stage_block("0001", b"2")
        assert refused(
            lambda: blob.commit_block_list([BlobBlock("0001")], match_condition=MatchConditions.IfMissing)
        ) == (409, "BlobAlreadyExists")
        assert blob.download_blob().readall() == b"1"

    def test_an_etag_holds_until_the_next_write(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        etag = blob.get_blob_properties().etag
        same = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        assert blob.download_blob(**same).readall() == b"1"
        blob.upload_blob(b"2", overwrite=True, **same)
        for call in (
            lambda: blob.upload_blob(b"3", overwrite=True, **same),
            lambda: blob.set_blob_metadata({"a": "b"}, **same),
            lambda: blob.set_http_headers(ContentSettings(), **same),
            lambda: blob.delete_blob(**same),
            lambda: blob.download_blob(**same),
            lambda: blob.acquire_lease(**same),
        ):
            assert refused(call) == (412, "ConditionNotMet")
        assert blob.download_blob().readall() == b"2"

    def test_an_etag_of_what_is_not_there_does_not_hold(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("a")
        assert refused(
            lambda: blob.upload_blob(b"1", overwrite=True, etag='"0x8D"', match_condition=MatchConditions.IfNotModified)
        ) == (412, "ConditionNotMet")

    def test_a_reader_who_has_it_is_told_so(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        found = blob.get_blob_properties()
        assert (
            refused(lambda: blob.get_blob_properties(etag=found.etag, match_condition=MatchConditions.IfModified))[0]
            == 304
        )
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert refused(lambda: blob.get_blob_properties(if_modified_since=later))[0] == 304
        assert blob.get_blob_properties(if_unmodified_since=later).etag == found.etag

    def test_times_hold_to_the_second(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        modified = blob.get_blob_properties().last_modified
        earlier = modified - timedelta(seconds=1)
        assert refused(lambda: blob.upload_blob(b"2", overwrite=True, if_unmodified_since=earlier)) == (
            412,
            "ConditionNotMet",
        )
        blob.upload_blob(b"2", overwrite=True, if_unmodified_since=modified)
        blob.upload_blob(b"3", overwrite=True, if_modified_since=earlier)
        assert blob.download_blob().readall() == b"3"


class TestRanges:
    @pytest.mark.parametrize(("offset", "length"), [(0, 1), (3, 4), (9, 1), (9, 100), (0, 10)], ids=str)
    def test_give_the_bytes_that_are_there(self, container: ContainerClient, offset: int, length: int) -> None:
        blob = container.upload_blob("a", b"0123456789")
        assert blob.download_blob(offset=offset, length=length).readall() == b"0123456789"[offset : offset + length]

    def test_have_an_md5_of_their_own(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"0123456789")
        assert blob.download_blob(offset=2, length=3, validate_content=True).readall() == b"234"

    def test_behind_the_end_are_refused(self, place: Place, container: ContainerClient) -> None:
        place.differs("Azurite 3.35 gives an empty range")
        blob = container.upload_blob("a", b"0123456789")
        assert refused(lambda: blob.download_blob(offset=10, length=1)) == (416, "InvalidRange")


class TestLists:
    NAMES = ("a", "b/1", "b/2", "b/c/3", "b0", "c/4", "ä/ü&<>")

    @pytest.fixture
    def filled(self, container: ContainerClient) -> ContainerClient:
        for name in self.NAMES:
            container.upload_blob(name, name.encode(), metadata={"length": str(len(name))})
        return container

    def test_are_sorted(self, filled: ContainerClient) -> None:
        assert [one.name for one in filled.list_blobs()] == list(self.NAMES)

    def test_hold_to_a_prefix(self, filled: ContainerClient) -> None:
        assert [one.name for one in filled.list_blobs(name_starts_with="b/")] == ["b/1", "b/2", "b/c/3"]

    def test_come_in_pages(self, filled: ContainerClient) -> None:
        pages = [[one.name for one in page] for page in filled.list_blobs(results_per_page=3).by_page()]
        assert pages == [list(self.NAMES[:3]), list(self.NAMES[3:6]), list(self.NAMES[6:])]

    def test_tell_what_the_blobs_are(self, filled: ContainerClient) -> None:
        listed = next(iter(filled.list_blobs(include=["metadata"])))
        found = filled.get_blob_client("a").get_blob_properties()
        assert isinstance(listed, BlobProperties)
        assert (listed.size, listed.metadata, listed.blob_type) == (1, {"length": "1"}, "BlockBlob")
        assert listed.etag == found.etag.strip('"')
        assert listed.last_modified == found.last_modified
        assert listed.content_settings.content_md5 == found.content_settings.content_md5
        assert (listed.lease.status, listed.lease.state) == ("unlocked", "available")
        assert next(iter(filled.list_blobs())).metadata in (None, {})

    def test_go_by_folders(self, filled: ContainerClient) -> None:
        assert sorted(one.name for one in filled.walk_blobs()) == ["a", "b/", "b0", "c/", "ä/"]
        assert sorted(one.name for one in filled.walk_blobs(name_starts_with="b/")) == ["b/1", "b/2", "b/c/"]

    def test_of_folders_come_in_pages(self, filled: ContainerClient) -> None:
        pages = [sorted(one.name for one in page) for page in filled.walk_blobs(results_per_page=2).by_page()]
        assert pages == [["a", "b/"], ["b0", "c/"], ["ä/"]]

    def test_go_on_after_a_page_though_its_last_blob_is_gone(self, filled: ContainerClient) -> None:
        pages = filled.list_blobs(results_per_page=2).by_page()
        assert [one.name for one in next(pages)] == ["a", "b/1"]
        filled.delete_blob("b/1")
        assert [one.name for one in next(pages)] == ["b/2", "b/c/3"]


class TestLeases:
    def test_keep_others_from_writing(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        lease = blob.acquire_lease(-1)
        other = str(uuid.uuid4())
        for call in (
            lambda: blob.upload_blob(b"2", overwrite=True),
            lambda: blob.set_blob_metadata({"a": "b"}),
            lambda: blob.stage_block("0001", b"2"),
            lambda: blob.delete_blob(),
        ):
            assert refused(call) == (412, "LeaseIdMissing")
        assert refused(lambda: blob.upload_blob(b"2", overwrite=True, lease=other)) == (
            412,
            "LeaseIdMismatchWithBlobOperation",
        )
        assert blob.download_blob().readall() == b"1"
        blob.upload_blob(b"2", overwrite=True, lease=lease)
        found = blob.get_blob_properties().lease
        assert (found.state, found.status, found.duration) == ("leased", "locked", "infinite")
        lease.release()
        assert blob.get_blob_properties().lease.state == "available"
        blob.delete_blob()

    def test_are_held_by_one(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        lease = blob.acquire_lease(15)
        assert refused(lambda: blob.acquire_lease(15)) == (409, "LeaseAlreadyPresent")
        lease.renew()
        mine = str(uuid.uuid4())
        lease.change(mine)
        assert lease.id == mine
        blob.acquire_lease(60, lease_id=mine)

    def test_are_broken_at_once_where_they_last_for_ever(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        lease = blob.acquire_lease(-1)
        assert lease.break_lease() == 0
        assert blob.get_blob_properties().lease.state == "broken"
        assert refused(lease.renew) == (409, "LeaseIsBrokenAndCannotBeRenewed")
        blob.upload_blob(b"2", overwrite=True)

    def test_that_are_not_there_can_be_neither_broken_nor_used(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        lease = BlobLeaseClient(blob, lease_id=str(uuid.uuid4()))
        assert refused(lease.break_lease) == (409, "LeaseNotPresentWithLeaseOperation")
        assert refused(lease.renew) == (409, "LeaseIdMismatchWithLeaseOperation")
        assert refused(lambda: blob.upload_blob(b"2", overwrite=True, lease=lease)) == (
            412,
            "LeaseNotPresentWithBlobOperation",
        )

    def test_last_fifteen_to_sixty_seconds_or_for_ever(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        assert refused(lambda: blob.acquire_lease(14)) == (400, "InvalidHeaderValue")
        assert refused(lambda: blob.acquire_lease(61)) == (400, "InvalidHeaderValue")


class TestCopies:
    def test_have_content_settings_and_metadata_of_their_source(self, container: ContainerClient) -> None:
        source = container.upload_blob(
            "source", b"content", metadata={"k": "v"}, content_settings=ContentSettings(content_type="text/plain")
        )
        copy = container.get_blob_client("copy")
        assert copy.start_copy_from_url(source.url)["copy_status"] == "success"
        found = copy.get_blob_properties()
        assert copy.download_blob().readall() == b"content"
        assert (found.metadata, found.content_settings.content_type) == ({"k": "v"}, "text/plain")
        assert (found.copy.status, found.copy.source) == ("success", source.url)

    def test_have_metadata_of_their_own_where_it_is_given(self, container: ContainerClient) -> None:
        source = container.upload_blob("source", b"content", metadata={"k": "v"})
        copy = container.get_blob_client("copy")
        copy.start_copy_from_url(source.url, metadata={"other": "1"})
        assert copy.get_blob_properties().metadata == {"other": "1"}

    def test_are_made_of_a_source_that_is_what_was_expected(self, container: ContainerClient) -> None:
        source = container.upload_blob("source", b"content")
        copy = container.get_blob_client("copy")
        etag = source.get_blob_properties().etag
        stale = {"source_etag": '"0x8D"', "source_match_condition": MatchConditions.IfNotModified}
        assert refused(lambda: copy.start_copy_from_url(source.url, **stale))[0] == 412
        copy.start_copy_from_url(source.url, source_etag=etag, source_match_condition=MatchConditions.IfNotModified)
        assert copy.download_blob().readall() == b"content"

    def test_replace_what_was_there(self, container: ContainerClient) -> None:
        source = container.upload_blob("source", b"content")
        copy = container.upload_blob("copy", b"other", metadata={"k": "v"})
        copy.start_copy_from_url(source.url)
        assert (copy.download_blob().readall(), copy.get_blob_properties().metadata) == (b"content", {})

    def test_of_append_blobs_are_append_blobs_of_their_own(self, place: Place, container: ContainerClient) -> None:
        place.differs("Azurite 3.35 appends both to one file")
        source, copy = container.get_blob_client("source"), container.get_blob_client("copy")
        source.create_append_blob()
        source.append_block(b"1")
        copy.start_copy_from_url(source.url)
        source.append_block(b"2")
        copy.append_block(b"3")
        assert (source.download_blob().readall(), copy.download_blob().readall()) == (b"12", b"13")

    def test_of_nothing_are_refused(self, container: ContainerClient) -> None:
        missing = container.get_blob_client("missing")
        status, _ = refused(lambda: container.get_blob_client("copy").start_copy_from_url(missing.url))
        assert status == 404


class TestDeleting:
    def test_is_done_once(self, container: ContainerClient) -> None:
        blob = container.upload_blob("a", b"1")
        blob.delete_blob()
        assert not blob.exists()
        assert refused(blob.delete_blob) == (404, "BlobNotFound")
        assert refused(blob.download_blob) == (404, "BlobNotFound")

    def test_many_at_once_tells_of_each(self, container: ContainerClient) -> None:
        for name in ("a", "b c", "d/ä"):
            container.upload_blob(name, b"1")
        answers = list(container.delete_blobs("a", "b c", "missing", "d/ä", raise_on_any_failure=False))
        assert [one.status_code for one in answers] == [202, 202, 404, 202]
        assert list(container.list_blobs()) == []


def test_a_blob_client_of_a_url_reads_by_its_signature(place: Place, container: ContainerClient) -> None:
    blob = container.upload_blob("a", b"1")
    signed = generate_blob_sas(
        place.account,
        str(container.container_name),
        "a",
        account_key=place.key,
        permission="r",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    with BlobClient.from_blob_url(f"{blob.url}?{signed}") as reader:
        assert reader.download_blob().readall() == b"1"
        assert refused(lambda: reader.upload_blob(b"2", overwrite=True)) == (403, "AuthorizationPermissionMismatch")
