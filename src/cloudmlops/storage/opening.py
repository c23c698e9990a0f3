"""Opening an object store by its address."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import ConfigurationError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.storage.keys import key_faults

_REMOTE: Final = frozenset({"s3", "gs", "az", "abfss"})
_OF_ACCOUNT: Final = re.compile(r"[a-z0-9$][a-z0-9-]{1,62}@[a-z0-9]{3,24}\.dfs\.[a-z0-9.-]+")
"""Container and account: learn.microsoft.com, "Use the Azure Data Lake Storage Gen2 URI"; the @ is no credential."""

Tokens = Callable[[], tuple[str, datetime]]
"""Returns an access token, and when it ends."""


def open_store(
    uri: str,
    *,
    durable: bool = True,
    endpoint: str | None = None,
    anonymous: bool = False,
    tokens: Tokens | None = None,
    timeout: timedelta = timedelta(minutes=1),
) -> ObjectStore:
    """Open the store at `uri`; nothing is contacted before its first use.

    Args:
        uri: `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
            `abfss://container@account.dfs.core.windows.net/prefix`. Addresses and credentials come from the vendor's
            own variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`), never from `uri`.
        durable: Whether a local write survives a loss of power; False is for folders that need not outlive the process.
        endpoint: Where a remote service is reached, such as `http://127.0.0.1:4443` of an emulator; None leaves that to
            the vendor's variables.
        anonymous: Look for no credentials: an emulator wants none.
        tokens: Who asks; for `abfss` alone. None leaves that to the vendor's variables.
        timeout: How long one call over the wire may take, with its repetitions.

    Raises:
        ConfigurationError: The address is malformed, of an unknown kind, or holds credentials.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ConfigurationError(
                f"{redacted(uri)!r} names no folder of this machine", hint="Write file:///absolute/folder."
            )
        from cloudmlops.storage.local import LocalStore

        return LocalStore(Path(unquote(parts.path)), durable=durable)
    if parts.scheme not in _REMOTE or not parts.netloc:
        raise ConfigurationError(
            f"{redacted(uri)!r} is not the address of an object store",
            hint="Write file:///folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or "
            "abfss://container@account.dfs.core.windows.net/prefix.",
        )
    prefix = parts.path.strip("/")
    of_account = parts.scheme == "abfss" and _OF_ACCOUNT.fullmatch(parts.netloc)
    if parts.scheme == "abfss" and not of_account and ":" not in parts.netloc:
        raise ConfigurationError(
            f"{redacted(uri)!r} names no container of a storage account",
            hint="Write abfss://container@account.dfs.core.windows.net/prefix.",
        )
    if ("@" in parts.netloc and not of_account) or parts.query:
        raise ConfigurationError(
            f"the address of the store in {parts.scheme}://{parts.hostname} holds credentials or a query",
            hint="Leave them out: credentials are taken from the vendor's own variables and chains.",
        )
    if prefix and (faults := key_faults(prefix)):
        raise ConfigurationError(
            f"the prefix in {uri!r} cannot be used: {'; '.join(faults)}", hint="Write s3://bucket/folder/folder."
        )
    from cloudmlops.storage.remote import RemoteStore  # here, because it loads obstore

    return RemoteStore.at(
        parts.scheme,
        parts.netloc,
        prefix,
        endpoint=endpoint,
        anonymous=anonymous,
        tokens=tokens,
        timeout=timeout,
    )
