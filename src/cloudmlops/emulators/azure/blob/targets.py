"""What a request is about: which account, container and blob, by host or by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from cloudmlops.emulators.azure.blob.errors import BlobError
from cloudmlops.emulators.core.streaming import StreamedRequest

SUFFIX: Final = ".blob.core.windows.net"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An account, a container in it, or a blob in that; empty is none."""

    account: str
    container: str
    blob: str

    @property
    def level(self) -> str:
        """`service`, `container` or `object`, as account SAS have it."""
        return "object" if self.blob else "container" if self.container else "service"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """That a request may be done."""

    overwrite: bool = True
    """Whether it may take the place of a blob that there is."""
    overrides: Mapping[str, str] | None = None
    """Headers that a SAS gives to the answer of a download."""
    object_id: str = ""
    """Of whom a bearer token stands for; empty for keys and SAS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request that was let in."""

    asked: StreamedRequest
    target: Target
    grant: Grant
    now: datetime

    @property
    def headers(self) -> Mapping[str, str]:
        return self.asked.headers

    @property
    def query(self) -> Mapping[str, str]:
        return self.asked.query

    @property
    def at(self) -> tuple[str, str, str]:
        """Account, container and blob."""
        return self.target.account, self.target.container, self.target.blob

    @property
    def endpoint(self) -> str:
        """Where the client reaches this account."""
        host = self.asked.host
        return f"https://{host}/" if secure(self.asked) else f"http://{host}/{self.target.account}/"


def secure(asked: StreamedRequest) -> bool:
    """Say whether a request came by TLS: what asks for an account's own host does, by the redirect."""
    return asked.host.partition(":")[0].endswith(SUFFIX)


def target_of(host: str, path: str) -> Target:
    """Return what a URL is about.

    Args:
        host: Such as `st1.blob.core.windows.net`; of any other the path begins with the account, as Azurite's does.
        path: Percent-encoded.

    Raises:
        Refused: A blob lies in the root container, which is not emulated.
    """
    name = host.partition(":")[0].lower()
    rest = path.removeprefix("/")
    if name.endswith(SUFFIX):
        account = name.removesuffix(SUFFIX)
    else:
        account, _, rest = rest.partition("/")
    container, _, blob = rest.partition("/")
    if not account:
        raise BlobError("InvalidUri")
    return Target(account=account, container=unquote(container), blob=unquote(blob))
