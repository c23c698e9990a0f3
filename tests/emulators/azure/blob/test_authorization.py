"""Who may do what with blobs, through Azure's own clients behind the redirect."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from inspect import signature

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobClient,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ResourceTypes,
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from tests.emulators.azure.blob.places import refused
from tests.emulators.azure.conftest import Azure

from cloudmlops.emulators.azure.blob.sharing import Blobs

CONTAINER = "data"
HOUR = timedelta(hours=1)
WRONG_KEY = base64.b64encode(b"not the key").decode()


class Account:
    """A workspace's storage account behind its own host."""

    def __init__(self, azure: Azure) -> None:
        found = azure.cloud.resources.get(azure.workspace_id)
        assert found is not None
        self.azure = azure
        self.resource: str = found["properties"]["storageAccount"]
        self.name = self.resource.rpartition("/")[2]
        self.url = f"https://{self.name}.blob.core.windows.net"
        self.key = self.blobs.key(self.name)
        self.blobs.make_container(self.name, CONTAINER)
        self.blobs.write(self.name, CONTAINER, "a", b"1")

    @property
    def blobs(self) -> Blobs:
        return self.azure.cloud.blobs

    def service(self, credential: object) -> BlobServiceClient:
        return BlobServiceClient(self.url, credential=credential, retry_total=0)

    def container(self, credential: object) -> ContainerClient:
        return self.service(credential).get_container_client(CONTAINER)

    def assign(self, who: str, role: str, scope: str = "") -> None:
        found = self.azure.cloud.access.role(role)
        assert found is not None
        self.azure.cloud.access.assign(scope or self.resource, self.azure.principal(who).object_id, found)


@pytest.fixture
def account(azure: Azure) -> Iterator[Account]:
    yield Account(azure)
    azure.emulator.clock.reset()


def now() -> datetime:
    return datetime.now(UTC)


class TestKeys:
    def test_open_everything(self, account: Account) -> None:
        service = account.service(account.key)
        assert next(one.name for one in service.list_containers()) == "azureml"
        blob = service.get_container_client(CONTAINER).upload_blob(
            "x y/ä", b"2", metadata={"a_b": "1", "ab": "2", "a1": "3"}
        )
        assert blob.download_blob(offset=0, length=1).readall() == b"2"
        assert service.get_account_information()["account_kind"] == "StorageV2"

    def test_that_are_wrong_open_nothing_and_are_told_what_would_be_signed(self, account: Account) -> None:
        with pytest.raises(HttpResponseError) as caught:
            account.container(WRONG_KEY).get_blob_client("a").download_blob()
        assert caught.value.status_code == 403
        assert str(caught.value.error_code.value) == "AuthenticationFailed"
        assert "is not the same as any computed signature" in str(caught.value)
        assert f"/{account.name}/{CONTAINER}/a" in str(caught.value)

    def test_of_another_account_open_nothing(self, account: Account) -> None:
        found = account.azure.cloud.resources.get(account.azure.cloud.ensure_workspace("another", group="others"))
        assert found is not None
        other = account.blobs.key(found["properties"]["storageAccount"].rpartition("/")[2])
        assert refused(lambda: account.container(other).get_blob_client("a").download_blob()) == (
            403,
            "AuthenticationFailed",
        )

    def test_sign_requests_of_these_minutes(self, account: Account) -> None:
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a"
        headers = {
            "x-ms-date": "Sat, 01 Nov 2025 00:00:00 GMT",
            "x-ms-version": "2021-08-06",
            "authorization": f"SharedKey {account.name}:{WRONG_KEY}",
        }
        answer = httpx.get(url, headers=headers, trust_env=False, verify=False)
        assert answer.status_code == 403
        assert "Request date header too old: 'Sat, 01 Nov 2025 00:00:00 GMT'" in answer.text


class TestNobody:
    def test_is_told_how_to_be_somebody(self, account: Account) -> None:
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a"
        answer = httpx.get(url, headers={"x-ms-version": "2021-08-06"}, trust_env=False, verify=False)
        tenant = account.azure.cloud.tokens.directory.tenant
        assert answer.status_code == 401
        assert answer.headers["x-ms-error-code"] == "NoAuthenticationInformation"
        assert answer.headers["www-authenticate"] == (
            f"Bearer authorization_uri=https://login.microsoftonline.com/{tenant}/oauth2/authorize "
            "resource_id=https://storage.azure.com"
        )

    def test_may_not_read_as_the_public_does(self, account: Account) -> None:
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a"
        answer = httpx.get(url, trust_env=False, verify=False)
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (409, "PublicAccessNotPermitted")

    def test_makes_no_public_container(self, account: Account) -> None:
        service = account.service(account.key)
        assert refused(lambda: service.create_container("open", public_access="blob")) == (
            409,
            "PublicAccessNotPermitted",
        )


class TestAccountSignatures:
    def signed(self, account: Account, permissions: str, *, types: str = "sco", **more: object) -> str:
        return generate_account_sas(
            account.name,
            account.key,
            resource_types=ResourceTypes.from_string(types),
            permission=AccountSasPermissions.from_string(permissions),
            expiry=more.pop("expiry", now() + HOUR),
            **more,
        )

    def test_do_what_they_say(self, account: Account) -> None:
        container = account.container(self.signed(account, "rwdlac"))
        container.upload_blob("b", b"2")
        assert [one.name for one in container.list_blobs()] == ["a", "b"]
        container.delete_blob("b")

    def test_do_nothing_else(self, account: Account) -> None:
        reader = account.container(self.signed(account, "rl"))
        assert reader.get_blob_client("a").download_blob().readall() == b"1"
        mismatch = (403, "AuthorizationPermissionMismatch")
        assert refused(lambda: reader.upload_blob("b", b"2")) == mismatch
        assert refused(lambda: reader.delete_blob("a")) == mismatch

    def test_hold_for_kinds_of_resources(self, account: Account) -> None:
        objects = self.signed(account, "rwdlac", types="o")
        assert account.container(objects).get_blob_client("a").exists()
        assert refused(lambda: list(account.container(objects).list_blobs())) == (
            403,
            "AuthorizationResourceTypeMismatch",
        )

    def test_hold_from_their_start_to_their_expiry(self, account: Account) -> None:
        early = account.container(self.signed(account, "r", start=now() + HOUR, expiry=now() + 2 * HOUR))
        with pytest.raises(HttpResponseError, match="Signature not valid in the specified time frame: Start"):
            early.get_blob_client("a").download_blob()
        blob = account.container(self.signed(account, "r", expiry=now() + HOUR)).get_blob_client("a")
        assert blob.download_blob().readall() == b"1"
        account.azure.emulator.clock.advance(HOUR + timedelta(minutes=1))
        with pytest.raises(HttpResponseError, match="Signature not valid in the specified time frame: Expiry"):
            blob.download_blob()

    def test_hold_for_a_protocol(self, account: Account) -> None:
        signed = self.signed(account, "r", protocol="https")
        assert account.container(signed).get_blob_client("a").exists()
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a?{signed}"
        answer = httpx.get(url, trust_env=False, verify=False)
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (403, "AuthorizationProtocolMismatch")

    def test_that_were_changed_hold_no_more(self, account: Account) -> None:
        signed = self.signed(account, "r").replace("sp=r", "sp=rw")
        with pytest.raises(HttpResponseError, match=r"Signature did not match\. String to sign used was"):
            account.container(signed).get_blob_client("a").download_blob()


class TestServiceSignatures:
    def test_of_a_container_hold_for_its_blobs(self, account: Account) -> None:
        signed = generate_container_sas(
            account.name,
            CONTAINER,
            account_key=account.key,
            permission=ContainerSasPermissions(read=True, list=True, write=True, delete=True),
            expiry=now() + HOUR,
        )
        container = account.container(signed)
        container.upload_blob("b", b"2")
        assert [one.name for one in container.list_blobs()] == ["a", "b"]
        list(container.delete_blobs("b"))
        assert not container.get_blob_client("b").exists()
        other = account.service(signed).get_container_client("azureml")
        assert refused(lambda: list(other.list_blobs())) == (403, "AuthenticationFailed")
        assert refused(lambda: list(account.service(signed).list_containers())) == (403, "AuthenticationFailed")

    def test_of_a_blob_hold_for_it_alone(self, account: Account) -> None:
        signed = generate_blob_sas(
            account.name,
            CONTAINER,
            "a",
            account_key=account.key,
            permission="r",
            expiry=now() + HOUR,
            content_type="text/html",
            content_disposition="inline",
        )
        found = account.container(signed).get_blob_client("a").download_blob().properties.content_settings
        assert (found.content_type, found.content_disposition) == ("text/html", "inline")
        assert refused(lambda: account.container(signed).get_blob_client("b").download_blob()) == (
            403,
            "AuthenticationFailed",
        )

    def test_that_let_create_do_not_let_overwrite(self, account: Account) -> None:
        signed = generate_container_sas(
            account.name, CONTAINER, account_key=account.key, permission="c", expiry=now() + HOUR
        )
        container = account.container(signed)
        container.upload_blob("new", b"2", overwrite=True)
        assert refused(lambda: container.upload_blob("a", b"2", overwrite=True)) == (403, "UnauthorizedBlobOverwrite")

    def test_let_a_copy_be_made_of_another_account(self, account: Account) -> None:
        found = account.azure.cloud.resources.get(account.azure.cloud.ensure_workspace("source", group="others"))
        assert found is not None
        other = found["properties"]["storageAccount"].rpartition("/")[2]
        account.blobs.write(other, "azureml", "s", b"from afar", content_type="text/plain")
        source = account.blobs.blob_url(other, "azureml", "s", permissions="r", lasts=HOUR)
        copy = account.container(account.key).get_blob_client("copy")
        copy.start_copy_from_url(source, requires_sync=True)
        assert copy.download_blob().readall() == b"from afar"
        bare = source.partition("?")[0]
        assert refused(lambda: copy.start_copy_from_url(bare)) == (401, "CannotVerifyCopySource")


class TestTokens:
    def test_of_owners_do_not_open_data(self, account: Account) -> None:
        container = account.container(account.azure.credential("owner"))
        assert refused(lambda: container.get_blob_client("a").download_blob()) == (
            403,
            "AuthorizationPermissionMismatch",
        )
        assert container.get_container_properties().name == CONTAINER

    def test_let_contributors_read_and_write(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Contributor")
        container = account.container(account.azure.credential("nobody"))
        blob = container.upload_blob("b", b"2", overwrite=True)
        blob.upload_blob(b"3", overwrite=True)
        blob.acquire_lease(15).release()
        assert blob.download_blob().readall() == b"3"
        container.get_blob_client("c").start_copy_from_url(blob.url)
        list(container.delete_blobs("b"))
        assert [one.name for one in container.list_blobs()] == ["a", "c"]

    def test_let_readers_read(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader", f"{account.resource}/blobServices/default/containers/data")
        container = account.container(account.azure.credential("nobody"))
        assert [one.name for one in container.list_blobs()] == ["a"]
        mismatch = (403, "AuthorizationPermissionMismatch")
        assert refused(lambda: container.upload_blob("b", b"2")) == mismatch
        assert refused(lambda: container.delete_blob("a")) == mismatch
        elsewhere = account.service(account.azure.credential("nobody")).get_container_client("azureml")
        assert refused(lambda: list(elsewhere.list_blobs())) == mismatch

    def test_are_for_storage(self, account: Account) -> None:
        token = account.azure.cloud.tokens.issue(account.azure.principal("owner"), "https://management.azure.com")
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a"
        headers = {"authorization": f"Bearer {token}", "x-ms-version": "2021-08-06"}
        answer = httpx.get(url, headers=headers, trust_env=False, verify=False)
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (401, "InvalidAuthenticationInfo")
        assert "Audience validation failed. Audience did not match." in answer.text

    def test_too_old_are_told_so(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader")
        token = account.azure.cloud.tokens.issue(
            account.azure.principal("nobody"), "https://storage.azure.com", seconds=-10
        )
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a"
        headers = {"authorization": f"Bearer {token}", "x-ms-version": "2021-08-06"}
        answer = httpx.get(url, headers=headers, trust_env=False, verify=False)
        assert answer.status_code == 401
        assert "Lifetime validation failed. The token is expired." in answer.text


class TestCopiesByToken:
    def test_need_a_role_on_the_source(self, account: Account) -> None:
        found = account.azure.cloud.resources.get(account.azure.cloud.ensure_workspace("source", group="others"))
        assert found is not None
        resource: str = found["properties"]["storageAccount"]
        other = resource.rpartition("/")[2]
        account.blobs.write(other, "azureml", "s", b"from afar")
        account.assign("nobody", "Storage Blob Data Contributor")
        copy = account.container(account.azure.credential("nobody")).get_blob_client("copy")
        token = account.azure.cloud.tokens.issue(account.azure.principal("nobody"), "https://storage.azure.com")

        def make() -> None:
            copy.start_copy_from_url(
                f"https://{other}.blob.core.windows.net/azureml/s",
                requires_sync=True,
                source_authorization=f"Bearer {token}",
            )

        assert refused(make) == (403, "AuthorizationPermissionMismatch")
        account.assign("nobody", "Storage Blob Data Reader", resource)
        make()
        assert copy.download_blob().readall() == b"from afar"


class TestUserDelegation:
    def delegated(self, account: Account, who: str) -> UserDelegationKey:
        service = account.service(account.azure.credential(who))
        return service.get_user_delegation_key(now() - timedelta(minutes=1), now() + HOUR)

    def test_signs_what_its_owner_may(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Contributor")
        key = self.delegated(account, "nobody")
        assert key.signed_oid == account.azure.principal("nobody").object_id
        signed = generate_blob_sas(
            account.name, CONTAINER, "a", user_delegation_key=key, permission="rw", expiry=now() + HOUR
        )
        with BlobClient.from_blob_url(f"{account.url}/{CONTAINER}/a?{signed}") as blob:
            blob.upload_blob(b"2", overwrite=True)
            assert blob.download_blob().readall() == b"2"

    def test_signs_for_a_container(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader")
        key = self.delegated(account, "nobody")
        signed = generate_container_sas(
            account.name, CONTAINER, user_delegation_key=key, permission="rwl", expiry=now() + HOUR
        )
        container = account.container(signed)
        assert [one.name for one in container.list_blobs()] == ["a"]
        assert refused(lambda: container.upload_blob("b", b"2")) == (403, "AuthorizationPermissionMismatch")

    @pytest.mark.skipif(
        "request_headers" not in signature(generate_blob_sas).parameters, reason="azure-storage-blob before 12.29"
    )
    def test_can_be_bound_to_what_a_request_has(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader")
        signed = generate_blob_sas(
            account.name,
            CONTAINER,
            "a",
            user_delegation_key=self.delegated(account, "nobody"),
            permission="r",
            expiry=now() + HOUR,
            request_headers={"x-team": "forecasting", "x-purpose": "test"},
            request_query_params={"ticket": "7"},
        )
        url = f"{account.azure.emulator.url}/{account.name}/{CONTAINER}/a?{signed}"
        headers = {"x-team": "forecasting", "x-purpose": "test"}
        assert httpx.get(f"{url}&ticket=7", headers=headers, trust_env=False, verify=False).content == b"1"
        for query, sent in (("&ticket=7", {**headers, "x-team": "other"}), ("&ticket=8", headers), ("", headers)):
            answer = httpx.get(url + query, headers=sent, trust_env=False, verify=False)
            assert (answer.status_code, answer.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")

    def test_ends_with_its_owners_role(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader")
        key = self.delegated(account, "nobody")
        signed = generate_blob_sas(
            account.name, CONTAINER, "a", user_delegation_key=key, permission="r", expiry=now() + HOUR
        )
        url = f"{account.url}/{CONTAINER}/a?{signed}"
        assert BlobClient.from_blob_url(url).download_blob().readall() == b"1"
        for one in account.azure.cloud.access.assignments():
            if one["properties"]["principalId"] == account.azure.principal("nobody").object_id:
                account.azure.cloud.access.unassign(one["name"])
        assert refused(BlobClient.from_blob_url(url).download_blob) == (403, "AuthorizationPermissionMismatch")

    def test_ends_with_the_key(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader")
        key = self.delegated(account, "nobody")
        signed = generate_blob_sas(
            account.name, CONTAINER, "a", user_delegation_key=key, permission="r", expiry=now() + 5 * HOUR
        )
        account.azure.emulator.clock.advance(2 * HOUR)
        blob = BlobClient.from_blob_url(f"{account.url}/{CONTAINER}/a?{signed}")
        assert refused(blob.download_blob) == (403, "AuthenticationFailed")

    def test_is_given_to_tokens_alone(self, account: Account) -> None:
        service = account.service(account.key)
        with pytest.raises(HttpResponseError, match="Only authentication scheme Bearer is supported"):
            service.get_user_delegation_key(now(), now() + HOUR)

    def test_is_given_to_those_who_may_ask(self, account: Account) -> None:
        service = account.service(account.azure.credential("reader"))
        assert refused(lambda: service.get_user_delegation_key(now(), now() + HOUR)) == (
            403,
            "AuthorizationPermissionMismatch",
        )

    def test_lasts_seven_days_at_most(self, account: Account) -> None:
        account.assign("nobody", "Storage Blob Data Reader")
        service = account.service(account.azure.credential("nobody"))
        assert refused(lambda: service.get_user_delegation_key(now(), now() + timedelta(days=8))) == (
            400,
            "InvalidXmlNodeValue",
        )
