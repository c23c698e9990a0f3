"""Containers, and what an account tells of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree import ElementTree as ET

from cloudmlops.emulators.azure.blob.authorization import Authorization
from cloudmlops.emulators.azure.blob.catalogue import Catalogue
from cloudmlops.emulators.azure.blob.conditions import conditions_of
from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.azure.blob.headers import metadata_headers, metadata_of, version_headers
from cloudmlops.emulators.azure.blob.records import Container
from cloudmlops.emulators.azure.blob.sas import delegation_key
from cloudmlops.emulators.azure.blob.targets import Request
from cloudmlops.emulators.azure.blob.xml_documents import answer_xml
from cloudmlops.emulators.core.streaming import StreamedAnswer

_LONGEST_DELEGATION: Final = timedelta(days=7)
_KEY_VERSION: Final = "2021-08-06"


def create_container(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Make a container."""
    if request.headers.get("x-ms-blob-public-access"):
        raise BlobError("PublicAccessNotPermitted")
    account, name, _ = request.at
    made = catalogue.create_container(account, name, metadata_of(request.headers))
    return StreamedAnswer(status=201, headers=version_headers(made))


def get_container_properties(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Answer with what is known of a container."""
    found = _container(catalogue, request)
    told = {
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
        "x-ms-immutable-storage-with-versioning-enabled": "false",
        "x-ms-default-encryption-scope": "$account-encryption-key",
        "x-ms-deny-encryption-scope-override": "false",
    }
    return StreamedAnswer(headers={**version_headers(found), **metadata_headers(found.metadata), **told})


def set_container_metadata(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Set all metadata of a container."""
    metadata = metadata_of(request.headers)
    with catalogue.transaction():
        known = _container(catalogue, request)
        conditions_of(request.headers).check_write(known)
        changed = catalogue.change_container(replace(known, metadata=metadata))
    return StreamedAnswer(headers=version_headers(changed))


def delete_container(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Delete a container with all in it; its name is free at once, where the real one's is after half a minute."""
    with catalogue.transaction():
        known = _container(catalogue, request)
        conditions_of(request.headers).check_write(known)
        catalogue.delete_container(known)
    return StreamedAnswer(status=202)


def get_account_information(_: Catalogue, __: Request) -> StreamedAnswer:
    """Answer with what kind of account it is."""
    return StreamedAnswer(
        headers={"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"}
    )


def get_user_delegation_key(catalogue: Catalogue, request: Request, authorization: Authorization) -> StreamedAnswer:
    """Give a caller a key to sign SAS with, which allow what the caller's own roles do."""
    try:
        root = ET.fromstring(request.asked.read())  # noqa: S314 what a client sends to its own emulator
    except ET.ParseError:
        raise BlobError("InvalidXmlDocument") from None
    end = _moment(root.findtext("Expiry") or "")
    start = _moment(root.findtext("Start") or "") if root.findtext("Start") else request.now
    if not start < end or end - request.now > _LONGEST_DELEGATION + timedelta(minutes=1):
        raise BlobError("InvalidXmlNodeValue")
    if root.findtext("DelegatedUserTid"):
        raise not_emulated("user delegation keys for users of other tenants are")
    fields = [
        request.grant.object_id,
        authorization.tenant(),
        f"{start:%Y-%m-%dT%H:%M:%SZ}",
        f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "b",
        request.headers.get("x-ms-version") or _KEY_VERSION,
    ]
    names = ("SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService", "SignedVersion")
    value = delegation_key(catalogue.account(request.target.account), fields)
    return answer_xml("UserDelegationKey", [*zip(names, fields, strict=True), ("Value", value)])


def _container(catalogue: Catalogue, request: Request) -> Container:
    if request.headers.get("x-ms-lease-id"):
        raise not_emulated("leases on containers are")
    account, name, _ = request.at
    return catalogue.container(account, name)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise BlobError("InvalidXmlNodeValue") from None
