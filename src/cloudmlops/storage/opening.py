"""Opening an object store by its address."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import ConfigurationError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.storage.keys import key_faults

_REMOTE: Final = frozenset({"s3", "gs", "az"})


def open_store(
    uri: str,
    *,
    durable: bool = True,
    endpoint: str | None = None,
    anonymous: bool = False,
    timeout: timedelta = timedelta(minutes=1),
) -> ObjectStore:
    """Open the store at `uri`; nothing is contacted before its first use.

    Args:
        uri: `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`. Addresses and
            credentials come from the vendor's own variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`), never from `uri`.
        durable: Whether a local write survives a loss of power; False is for folders that need not outlive the process.
        endpoint: Where a remote service is reached, such as `http://127.0.0.1:4443` of an emulator; None leaves that to
            the vendor's variables.
        anonymous: Look for no credentials: an emulator wants none.
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
            hint="Write file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.",
        )
    prefix = parts.path.strip("/")
    if "@" in parts.netloc or parts.query:
        raise ConfigurationError(
            f"the address of the store in {parts.scheme}://{parts.hostname} holds credentials or a query",
            hint="Leave them out: credentials are taken from the vendor's own variables and chains.",
        )
    if prefix and (faults := key_faults(prefix)):
        raise ConfigurationError(
            f"the prefix in {uri!r} cannot be used: {'; '.join(faults)}", hint="Write s3://bucket/folder/folder."
        )
    from cloudmlops.storage.remote import RemoteStore  # here, because it loads obstore

    return RemoteStore.at(parts.scheme, parts.netloc, prefix, endpoint=endpoint, anonymous=anonymous, timeout=timeout)
