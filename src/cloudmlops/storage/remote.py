"""Object stores over the wire, through obstore: S3, Google Cloud Storage and Azure Blob."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import (
    AuthenticationError,
    CloudMLOpsError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
)
from cloudmlops.storage.keys import checked_key
from cloudmlops.storage.remote_file import RemoteFile

if TYPE_CHECKING:
    from obstore.store import AzureCredential, BackoffConfig, ClientConfig, RetryConfig

    AnyStore = S3Store | GCSStore | AzureStore

_ENDPOINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "abfss": (),
}
"""Variables that name another address of the service; the first that is set counts."""
_SETTING: Final[Mapping[str, str]] = {"s3": "endpoint", "gs": "base_url", "az": "endpoint", "abfss": "endpoint"}
_ANONYMOUS: Final[Mapping[str, Mapping[str, str]]] = {
    "s3": {"skip_signature": "true"},
    # With `skip_signature` obstore still asks Google's metadata server for a token before it writes.
    "gs": {"bearer_token": "anonymous"},
    "az": {"skip_signature": "true"},
    "abfss": {"skip_signature": "true"},
}
_used_by: int | None = None
"""The process in which obstore has begun to work: a fork leaves its threads behind and waits for them."""
_BACKOFF: Final[BackoffConfig] = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=5),
    "base": 2,
}
_MOST_RETRIES: Final = 6
_LONGEST_TRY: Final = timedelta(seconds=30)


class RemoteStore:
    """Objects in a bucket or container, below a prefix."""

    def __init__(self, store: AnyStore, uri: str) -> None:
        self._store = store
        self._uri = uri

    @classmethod
    def at(
        cls,
        scheme: str,
        bucket: str,
        prefix: str,
        *,
        endpoint: str | None = None,
        anonymous: bool = False,
        tokens: Callable[[], tuple[str, datetime]] | None = None,
        timeout: timedelta = timedelta(minutes=1),
    ) -> RemoteStore:
        """Open `bucket` of the service that `scheme` (`s3`, `gs`, `az`, `abfss`) names.

        The environment says how to reach it, unless `endpoint` does, and who asks, unless `tokens` do or it is
        `anonymous`. A bucket of `abfss` is `container@account.dfs.suffix`, which says where it is reached, too.
        """
        endpoint = endpoint or next((os.environ[name] for name in _ENDPOINTS[scheme] if os.environ.get(name)), None)
        if endpoint and redacted(endpoint) != endpoint:
            raise ConfigurationError(
                f"the address of the service for {scheme}:// holds credentials or a query",
                hint=f"Leave them out of `endpoint` and of {' or '.join(_ENDPOINTS[scheme])}.",
            )
        uri = f"{scheme}://{bucket}/{prefix}".rstrip("/")
        account: dict[str, str] = {}
        given: dict[str, Any] = {}
        if scheme == "abfss":
            bucket, _, host = bucket.partition("@")
            name, _, suffix = host.partition(".dfs.")
            account = {"account_name": name}
            endpoint = endpoint or f"https://{name}.blob.{suffix}"
            given = {"credential_provider": _credentials(tokens)} if tokens is not None else {}
        config = {
            **account,
            **({_SETTING[scheme]: endpoint} if endpoint else {}),
            **(_ANONYMOUS[scheme] if anonymous else {}),
        }
        client: ClientConfig = {
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "timeout": min(timeout, _LONGEST_TRY),
        }
        retry: RetryConfig = {"max_retries": _MOST_RETRIES, "retry_timeout": timeout, "backoff": _BACKOFF}
        build = _BUILDERS[scheme]
        with _translated(f"{scheme}://{bucket}", "open", bucket):
            store = build(
                bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry, **given
            )
        return cls(store, uri)

    @property
    def uri(self) -> str:
        """The address of the root, without credentials."""
        return self._uri

    def get(self, key: str) -> bytes:
        """Read an object; `NotFoundError` when there is none."""
        with self._asked("read", key):
            return bytes(obstore.get(self._store, checked_key(key)).bytes())

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        with self._asked("write", key):
            obstore.put(self._store, checked_key(key), data)

    def hint(self, key: str, data: bytes) -> None:
        """Write like `put`: over the wire there is nothing to save."""
        self.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none; True when this call made it, False also after a lost response."""
        with self._asked("create", key):
            try:
                obstore.put(self._store, checked_key(key), data, mode="create")
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return False
            return True

    def delete(self, key: str) -> None:
        """Remove an object; absent is no error."""
        with self._asked("delete", key):
            try:
                obstore.delete(self._store, checked_key(key))
            except FileNotFoundError:
                return

    def exists(self, key: str) -> bool:
        """Say whether there is an object under `key`."""
        with self._asked("look up", key):
            try:
                obstore.head(self._store, checked_key(key))
            except FileNotFoundError:
                return False
            return True

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        """Yield keys that start with `prefix`, in the store's own (code point) order, those after `after` only."""
        return (key for key, _ in self.sizes(prefix, after=after))

    def sizes(self, prefix: str = "", *, after: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the same keys, and how many bytes each object holds."""
        # The service is asked for the folder: obstore matches whole parts of a key only.
        folder = prefix.rpartition("/")[0]
        if folder:
            checked_key(folder)
        with self._asked("list", prefix):
            for chunk in obstore.list(self._store, folder or None, offset=after):
                for item in chunk:
                    if item["path"].startswith(prefix):
                        yield item["path"], item["size"]

    def upload(self, key: str, source: Path) -> None:
        """Write a local file as an object, streaming."""
        with self._asked("upload", key):
            obstore.put(self._store, checked_key(key), source)

    def download(self, key: str, target: Path) -> None:
        """Write an object to a local file, streaming; `NotFoundError` when there is none."""
        with self._asked("download", key):
            content = obstore.get(self._store, checked_key(key))
            with target.open("wb") as file:
                for chunk in content:
                    file.write(chunk)

    def open(self, key: str, size: int) -> RemoteFile:
        """Return an object as a file that is read where one wants; `size` is how many bytes it has."""
        return RemoteFile(partial(self._read, key), size)

    def _read(self, key: str, start: int, length: int) -> bytes:
        with self._asked("read", key):
            return obstore.get_range(self._store, checked_key(key), start=start, length=length).to_bytes()

    @contextmanager
    def _asked(self, operation: str, key: str) -> Iterator[None]:
        _check_process()
        with _translated(self._uri, operation, key):
            yield


def in_use() -> bool:
    """Say whether this process, or the one it was forked from, has asked a store over the wire."""
    return _used_by is not None


def _check_process() -> None:
    global _used_by
    if _used_by is None:
        _used_by = os.getpid()
    elif _used_by != os.getpid():
        raise UnavailableError(
            "an object store over the wire cannot be used in a process that was forked after its parent used one",
            hint='Start the process anew, such as with multiprocessing.get_context("spawn").',
            operation="objects.open",
        )


def _credentials(tokens: Callable[[], tuple[str, datetime]]) -> Callable[[], AzureCredential]:
    def provided() -> AzureCredential:
        token, ends = tokens()
        return {"token": token, "expires_at": ends}

    return provided


_BUILDERS: Final[Mapping[str, Callable[..., AnyStore]]] = {
    "s3": S3Store,
    "gs": GCSStore,
    "az": AzureStore,
    "abfss": AzureStore,
}

_ERRORS: Final[tuple[tuple[type[Exception], type[ServiceError], str], ...]] = (
    (exceptions.UnauthenticatedError, AuthenticationError, "Check the vendor's credentials in the environment."),
    (exceptions.PermissionDeniedError, PermissionDeniedError, "Ask for read and write access to the bucket."),
    (exceptions.BaseError, UnavailableError, "Check the bucket's name and the address of the service; then try again."),
    (OSError, UnavailableError, "Check the connection; then try again."),
)
"""The first row that matches counts."""

_DENIED: Final[Mapping[str, str]] = {
    "abfss": "The caller needs the role Storage Blob Data Contributor on the storage account, or Storage Blob Data "
    "Reader only to read; Owner and Contributor of the account do not let at its data.",
}
"""What to do about a refusal, where more is known than in `_ERRORS`."""
_FORBIDDEN: Final = re.compile(r"status code: 403 Forbidden|Forbidden \(code: 403\)")
"""Of a listing, and of what is removed in bulk."""
_KEPT_OUT: Final = "AuthorizationFailure"
"""Azure's code for callers that the account's network rules keep out, and for other refusals."""
_READING: Final = frozenset({"read", "download", "look up"})
_MAKE: Final[Mapping[str, str]] = {
    "s3": "Correct the name, or make the bucket: aws s3 mb s3://{bucket}",
    "gs": "Correct the name, or make the bucket: gcloud storage buckets create gs://{bucket} --location=REGION",
    "az": "Correct the name, or make the container: az storage container create --name {bucket}",
    "abfss": "Correct the name, or make the container: az storage container create --name {bucket}",
}
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")


@contextmanager
def _translated(uri: str, operation: str, key: str) -> Iterator[None]:
    details: dict[str, Any] = {"provider": uri.partition(":")[0], "operation": f"objects.{operation}", "resource": key}
    try:
        yield
    except FileNotFoundError as error:
        if operation not in _READING or any(word in str(error) for word in _NO_BUCKET):
            # Not as if only the object were missing: a reader would take the whole registry for empty.
            raise ConfigurationError(
                f"cannot {operation} object {key!r}: there is no {uri.split('/')[2]} at {uri.partition(':')[0]}://",
                hint=_MAKE[uri.partition(":")[0]].format(bucket=uri.split("/")[2].partition("@")[0]),
            ) from error
        raise NotFoundError(f"there is no object {key!r}", **details) from error
    except (exceptions.BaseError, OSError) as error:
        if isinstance(error, CloudMLOpsError):
            raise
        # obstore has no class of its own for a listing that is refused.
        denied = isinstance(error, exceptions.GenericError) and _FORBIDDEN.search(str(error)) is not None
        cause = exceptions.PermissionDeniedError if denied else type(error)
        kind, hint = next((kind, hint) for known, kind, hint in _ERRORS if issubclass(cause, known))
        if kind is PermissionDeniedError:
            hint = _DENIED.get(details["provider"], hint)
            if details["provider"] == "abfss" and _KEPT_OUT in str(error):
                hint = f"The account's network rules may keep this machine out (see Networking). Else: {hint}"
        summary = str(error).split("\n\nDebug", 1)[0]
        safe = redacted(summary)
        raise kind(f"cannot {operation} object {key!r}: {safe}", hint=hint, **details) from (
            error if safe == summary else None
        )
