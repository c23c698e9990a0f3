"""Azure Blob Storage at its own hosts, and at the plain address below an account's name as Azurite has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote
from uuid import uuid4

from cloudmlops.emulators.azure.blob import authorization as needs
from cloudmlops.emulators.azure.blob import blobs, containers, copies, downloads, listing, uploads
from cloudmlops.emulators.azure.blob.authorization import Authorization, Needs
from cloudmlops.emulators.azure.blob.batch import submit_batch
from cloudmlops.emulators.azure.blob.catalogue import NAME, Catalogue, catalogue_of
from cloudmlops.emulators.azure.blob.errors import BlobError, answer_error, not_emulated
from cloudmlops.emulators.azure.blob.targets import SUFFIX, Request, Target, target_of
from cloudmlops.emulators.azure.entra.tokens import Tokens
from cloudmlops.emulators.azure.rbac.assignments import Access
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.core.streaming import StreamedAnswer, StreamedRequest, streaming_app

_OWN_ACCOUNTS: Final = "/st" + "[0-9a-f]" * 20
"""At the plain address, the accounts of workspaces; other names could be another service's."""
_VERSION: Final = "2021-08-06"
_SERVER: Final = "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Operation:
    name: str
    """As learn.microsoft.com has it, without spaces."""
    act: Callable[..., StreamedAnswer]
    needs: Needs
    asks: bool = False
    """Whether it decides about others than its target."""


def _operation(name: str, act: Callable[..., StreamedAnswer], needed: Needs, *, asks: bool = False) -> _Operation:
    return _Operation(name=name, act=act, needs=needed, asks=asks)


_GET_CONTAINER: Final = _operation("GetContainerProperties", containers.get_container_properties, needs.READ_CONTAINER)
_GET_METADATA: Final = _operation("GetBlobMetadata", downloads.get_blob_metadata, needs.READ)
_ACCOUNT: Final = _operation("GetAccountInformation", containers.get_account_information, needs.ACCOUNT_INFO)
_OF_SERVICE: Final = {
    ("GET", "", "list"): _operation("ListContainers", listing.list_containers, needs.LIST_CONTAINERS),
    ("POST", "service", "userdelegationkey"): _operation(
        "GetUserDelegationKey", containers.get_user_delegation_key, needs.DELEGATE, asks=True
    ),
}
_OF_CONTAINERS: Final = {
    ("PUT", ""): _operation("CreateContainer", containers.create_container, needs.CREATE_CONTAINER),
    ("GET", ""): _GET_CONTAINER,
    ("HEAD", ""): _GET_CONTAINER,
    ("GET", "metadata"): _GET_CONTAINER,
    ("HEAD", "metadata"): _GET_CONTAINER,
    ("PUT", "metadata"): _operation("SetContainerMetadata", containers.set_container_metadata, needs.WRITE_CONTAINER),
    ("DELETE", ""): _operation("DeleteContainer", containers.delete_container, needs.DELETE_CONTAINER),
    ("GET", "list"): _operation("ListBlobs", listing.list_blobs, needs.LIST),
}
_OF_BLOBS: Final = {
    ("GET", ""): _operation("GetBlob", downloads.get_blob, needs.READ),
    ("HEAD", ""): _operation("GetBlobProperties", downloads.get_blob_properties, needs.READ),
    ("DELETE", ""): _operation("DeleteBlob", blobs.delete_blob, needs.DELETE),
    ("GET", "metadata"): _GET_METADATA,
    ("HEAD", "metadata"): _GET_METADATA,
    ("PUT", "metadata"): _operation("SetBlobMetadata", blobs.set_blob_metadata, needs.WRITE),
    ("PUT", "properties"): _operation("SetBlobProperties", blobs.set_blob_properties, needs.WRITE),
    ("PUT", "lease"): _operation("LeaseBlob", blobs.lease_blob, needs.WRITE),
    ("PUT", "block"): _operation("PutBlock", uploads.put_block, needs.WRITE),
    ("PUT", "blocklist"): _operation("PutBlockList", uploads.put_block_list, needs.WRITE),
    ("GET", "blocklist"): _operation("GetBlockList", uploads.get_block_list, needs.READ),
    ("PUT", "appendblock"): _operation("AppendBlock", uploads.append_block, needs.APPEND),
}
_BREAK: Final = _operation("LeaseBlob", blobs.lease_blob, needs.BREAK)
_PUT: Final = {
    "blockblob": _operation("PutBlob", uploads.put_blob, needs.CREATE),
    "appendblob": _operation("PutBlob", uploads.put_append_blob, needs.CREATE),
}
_COPY: Final = _operation("CopyBlob", copies.copy_blob, needs.CREATE, asks=True)
_BATCH: Final = "BlobBatch"
_NAMED: Final = {
    "acl": "stored access policies and public access are",
    "blobs": "searching blobs by tags is",
    "copy": "aborting a copy is",
    "expiry": "expiry of blobs is",
    "immutabilitypolicies": "immutability policies are",
    "incrementalcopy": "page blobs are",
    "legalhold": "legal holds are",
    "page": "page blobs are",
    "pagelist": "page blobs are",
    "query": "queries of blobs are",
    "seal": "sealing append blobs is",
    "snapshot": "snapshots are",
    "stats": "statistics are",
    "tags": "blob index tags are",
    "tier": "access tiers are",
    "undelete": "soft deletion is",
}


def operations() -> list[str]:
    """Return what is answered, such as `PutBlockList`."""
    tables = (_OF_SERVICE, _OF_CONTAINERS, _OF_BLOBS, _PUT)
    known = [*(one.name for table in tables for one in table.values()), _ACCOUNT.name, _COPY.name, _BATCH]
    return sorted(set(known))


def absent() -> list[str]:
    """Return what Azure's blobs have and these have not, such as `snapshots`."""
    return sorted({text.removesuffix(" is").removesuffix(" are") for text in _NAMED.values()})


def blob_service(
    surroundings: Surroundings, tokens: Tokens, access: Access, versions: defaultdict[str, set[str]]
) -> Service:
    """Build the service. Calls are named `blob/OPERATION`, such as `blob/PutBlockList`.

    Args:
        surroundings: Of the emulator.
        tokens: Who there is.
        access: Who may do what.
        versions: Takes the `x-ms-version` of each call.
    """
    store = _Store(surroundings, Authorization(tokens, access), versions)
    return Service(
        name=NAME,
        hosts=(f"*{SUFFIX}",),
        paths=(_OWN_ACCOUNTS,),
        http=streaming_app(surroundings, NAME, respond=store.respond, failed=store.failed),
    )


class _Store:
    def __init__(
        self, surroundings: Surroundings, authorization: Authorization, versions: defaultdict[str, set[str]]
    ) -> None:
        self._versions = versions
        self._calls = surroundings.calls
        self._clock = surroundings.clock
        self._authorization = authorization
        self._catalogue: Catalogue = catalogue_of(surroundings)

    def respond(self, asked: StreamedRequest, drop: Callable[[], None]) -> StreamedAnswer:
        """Answer any request."""
        request_id = str(uuid4())
        told = {
            "server": _SERVER,
            "x-ms-request-id": request_id,
            "x-ms-version": asked.headers.get("x-ms-version") or asked.query.get("sv") or _VERSION,
        }
        if client_id := asked.headers.get("x-ms-client-request-id"):
            told["x-ms-client-request-id"] = client_id
        try:
            answered = self._answered(asked, drop)
        except Refused as refused:
            answered = answer_error(refused, now=self._clock.now(), request=request_id, head=asked.method == "HEAD")
        return StreamedAnswer(
            status=answered.status,
            body=answered.body,
            file=answered.file,
            length=answered.length,
            headers={**told, **answered.headers},
        )

    def failed(self, refused: Refused) -> StreamedAnswer:
        """Tell of a mistake of ours."""
        return answer_error(refused, now=self._clock.now(), request=str(uuid4()), head=False)

    def _answered(self, asked: StreamedRequest, drop: Callable[[], None]) -> StreamedAnswer:
        if asked.method == "POST" and asked.query.get("comp", "").lower() == "batch":
            return self._batch(asked, drop)
        target = target_of(asked.host, asked.path)
        operation = _find(asked, target)
        if version := asked.headers.get("x-ms-version"):
            self._versions[f"{NAME} {operation.name}"].add(version)
        with ExitStack() as unsent:
            with self._calls.answering(
                NAME,
                operation.name,
                transport="rest",
                drop=drop,
                resource=unquote(asked.path),
                request=_recorded(asked),
            ):
                account = self._catalogue.account(target.account)
                now = self._clock.now()
                grant = self._authorization.check(account, asked, target, operation.needs, now=now)
                request = Request(asked=asked, target=target, grant=grant, now=now)
                more = (self._authorization,) if operation.asks else ()
                answered = operation.act(self._catalogue, request, *more)
                if answered.file is not None:
                    unsent.callback(answered.file.close)
            unsent.pop_all()
            return answered

    def _batch(self, asked: StreamedRequest, drop: Callable[[], None]) -> StreamedAnswer:
        target = target_of(asked.host, asked.path)
        with self._calls.answering(NAME, _BATCH, transport="rest", drop=drop, resource=unquote(asked.path)):
            account = self._catalogue.account(target.account)
            self._authorization.check(account, asked, target, needs.BATCH, now=self._clock.now())
            return submit_batch(asked, lambda one: self.respond(one, drop))


def _find(asked: StreamedRequest, target: Target) -> _Operation:
    """Return what a request asks for, or refuse it by its name."""
    method, query = asked.method, asked.query
    kind, part = query.get("restype", "").lower(), query.get("comp", "").lower()
    if query.get("snapshot") or query.get("versionid"):
        raise not_emulated("snapshots and versions are")
    if kind == "account" and part == "properties" and method in ("GET", "HEAD"):
        return _ACCOUNT
    found: _Operation | None
    if not target.container:
        found = _OF_SERVICE.get((method, kind, part))
    elif not target.blob and kind == "container":
        found = _OF_CONTAINERS.get((method, part))
    elif not target.blob:
        raise not_emulated("blobs in the root container are")
    else:
        found = _of_blob(asked, part)
    if found is None:
        raise not_emulated(_NAMED.get(part) or f"{method} of {kind or 'blob'} {part or 'itself'} is")
    return found


def _of_blob(asked: StreamedRequest, part: str) -> _Operation | None:
    copied, kind = asked.headers.get("x-ms-copy-source"), asked.headers.get("x-ms-blob-type", "").lower()
    if asked.method != "PUT" or part not in ("", "block", "appendblock", "lease"):
        return _OF_BLOBS.get((asked.method, part))
    if copied and (part or kind):
        raise not_emulated("putting blobs and blocks from a URL is")
    if copied:
        return _COPY
    if part == "lease" and asked.headers.get("x-ms-lease-action", "").lower() == "break":
        return _BREAK
    if part:
        return _OF_BLOBS.get((asked.method, part))
    if kind == "pageblob":
        raise not_emulated("page blobs are")
    if kind not in _PUT:
        code = "InvalidHeaderValue" if kind else "MissingRequiredHeader"
        raise BlobError(code, details={"HeaderName": "x-ms-blob-type"})
    return _PUT[kind]


def _recorded(asked: StreamedRequest) -> dict[str, str]:
    """Return what of a request is kept in the record of calls: no signature."""
    return {name: value for name, value in asked.query.items() if name != "sig"}
