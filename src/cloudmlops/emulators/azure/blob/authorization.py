"""Who may do what: keys may all, a SAS what it says, a token what its owner's roles allow, nobody nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudmlops.emulators.azure.blob.errors import BlobError, not_authenticated
from cloudmlops.emulators.azure.blob.records import Account
from cloudmlops.emulators.azure.blob.sas import Signed, check_sas
from cloudmlops.emulators.azure.blob.shared_key import check_shared_key
from cloudmlops.emulators.azure.blob.targets import Grant, Target, secure
from cloudmlops.emulators.azure.entra.tokens import LOGIN_HOST, Tokens
from cloudmlops.emulators.azure.rbac.assignments import Access
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.streaming import StreamedRequest

_CONTAINERS: Final = "Microsoft.Storage/storageAccounts/blobServices/containers"
_READ, _WRITE, _ADD, _DELETE = (f"{_CONTAINERS}/blobs/{one}" for one in ("read", "write", "add/action", "delete"))
_CHALLENGED_FROM: Final = "2019-12-12"
"""The version from which a request without authorization is told how to have one."""
RESOURCE: Final = "https://storage.azure.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What an operation takes: any of the letters, any of the actions."""

    letters: str = ""
    """Of a SAS; empty is not possible with one of a container or blob."""
    account_letters: str = ""
    """Of an account's SAS; empty is not possible with one."""
    actions: tuple[str, ...] = ()
    data: bool = True
    """Whether the actions are on data."""
    bearer_only: bool = False
    overwrites: str = ""
    """Of the letters, those that let an operation that may create also overwrite; empty is all."""


READ: Final = Needs(letters="r", account_letters="r", actions=(_READ,))
WRITE: Final = Needs(letters="w", account_letters="w", actions=(_WRITE,))
CREATE: Final = Needs(letters="cw", account_letters="cw", actions=(_WRITE, _ADD), overwrites="w")
APPEND: Final = Needs(letters="aw", account_letters="aw", actions=(_WRITE, _ADD))
DELETE: Final = Needs(letters="d", account_letters="d", actions=(_DELETE,))
BREAK: Final = Needs(letters="dw", account_letters="dw", actions=(_WRITE,))
LIST: Final = Needs(letters="l", account_letters="l", actions=(_READ,))
LIST_CONTAINERS: Final = Needs(account_letters="l", actions=(f"{_CONTAINERS}/read",), data=False)
CREATE_CONTAINER: Final = Needs(account_letters="cw", actions=(f"{_CONTAINERS}/write",), data=False)
READ_CONTAINER: Final = Needs(account_letters="r", actions=(f"{_CONTAINERS}/read",), data=False)
WRITE_CONTAINER: Final = Needs(account_letters="w", actions=(f"{_CONTAINERS}/write",), data=False)
DELETE_CONTAINER: Final = Needs(account_letters="d", actions=(f"{_CONTAINERS}/delete",), data=False)
DELEGATE: Final = Needs(
    actions=("Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",),
    data=False,
    bearer_only=True,
)
BATCH: Final = Needs(letters="racwdl", account_letters="racwdl")
"""Each request of a batch is decided for itself: the whole asks for no action."""
ACCOUNT_INFO: Final = Needs(
    letters="rwdlac",
    account_letters="rwdlac",
    actions=("Microsoft.Storage/storageAccounts/blobServices/getInfo/action",),
    data=False,
)


class Authorization:
    """Decides."""

    def __init__(self, tokens: Tokens, access: Access) -> None:
        self._tokens = tokens
        self._access = access

    def check(self, account: Account, asked: StreamedRequest, target: Target, needs: Needs, *, now: datetime) -> Grant:
        """Let a request in, or refuse it as the service does."""
        given = asked.headers.get("authorization", "")
        scheme = given.partition(" ")[0].lower()
        if scheme == "bearer":
            return self.check_bearer(account, given, target, needs)
        if needs.bearer_only:
            raise not_authenticated("Only authentication scheme Bearer is supported")
        if given:
            check_shared_key(account, asked)
            return Grant()
        if "sig" in asked.query:
            return self.check_sas(
                account, target, asked.query, needs, now=now, https=secure(asked), headers=asked.headers
            )
        if asked.headers.get("x-ms-version", "") >= _CHALLENGED_FROM:
            raise BlobError("NoAuthenticationInformation", headers=self._challenge())
        raise BlobError("PublicAccessNotPermitted")

    def check_sas(
        self,
        account: Account,
        target: Target,
        query: Mapping[str, str],
        needs: Needs,
        *,
        now: datetime,
        https: bool,
        headers: Mapping[str, str],
    ) -> Grant:
        """Let a SAS do what it says, or refuse it."""
        signed = check_sas(account, target, query, now=now, https=https, headers=headers)
        letters = needs.account_letters if signed.account_wide else needs.letters
        if not set(letters) & set(signed.permissions):
            raise BlobError("AuthorizationPermissionMismatch")
        if signed.object_id and not self._granted(signed.object_id, account, target, needs):
            raise BlobError("AuthorizationPermissionMismatch")
        return Grant(overwrite=_overwrites(signed, needs), overrides=signed.overrides)

    def check_bearer(self, account: Account, authorization: str, target: Target, needs: Needs) -> Grant:
        """Let a token do what its owner's roles allow, or refuse it."""
        audiences = (RESOURCE, f"https://{account.name}.blob.core.windows.net")
        try:
            caller = self._tokens.caller(authorization, audiences=audiences)
        except Refused as refused:
            known = {
                "InvalidAuthenticationTokenAudience": "Audience validation failed. Audience did not match.",
                "ExpiredAuthenticationToken": "Lifetime validation failed. The token is expired.",
            }
            detail = known.get(refused.reason, refused.message)
            raise BlobError(
                "InvalidAuthenticationInfo", details={"AuthenticationErrorDetail": detail}, headers=self._challenge()
            ) from refused
        if not self._granted(caller.object_id, account, target, needs):
            raise BlobError("AuthorizationPermissionMismatch")
        overwrite = not needs.overwrites or self._access.granted(
            caller.object_id, _WRITE, _scope(account, target), data=True
        )
        return Grant(overwrite=overwrite, object_id=caller.object_id)

    def tenant(self) -> str:
        """Return the id of the tenant."""
        return self._tokens.directory.tenant

    def _granted(self, object_id: str, account: Account, target: Target, needs: Needs) -> bool:
        scope = _scope(account, target)
        return not needs.actions or any(
            self._access.granted(object_id, action, scope, data=needs.data) for action in needs.actions
        )

    def _challenge(self) -> dict[str, str]:
        place = f"https://{LOGIN_HOST}/{self.tenant()}/oauth2/authorize"
        return {"www-authenticate": f"Bearer authorization_uri={place} resource_id={RESOURCE}"}


def _scope(account: Account, target: Target) -> str:
    service = f"{account.resource}/blobServices/default"
    return f"{service}/containers/{target.container}" if target.container else service


def _overwrites(signed: Signed, needs: Needs) -> bool:
    return not needs.overwrites or bool(set(needs.overwrites) & set(signed.permissions))
