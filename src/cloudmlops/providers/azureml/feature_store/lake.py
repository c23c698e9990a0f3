"""Delta tables and Parquet files on Blob storage, read and written with the caller's own token.

deltalake takes one token for a table and renews none. So it reads a table's log alone, which is short, and its data are
read through obstore, which asks for a new token when one ends: that may take as long as it does. Data are written by
deltalake: that must end while the token is good which it began with. Half an hour is left of it at least, where Entra
gives such; a write that finds it too old all the same begins anew, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import deltalake
import pyarrow as pa
import pyarrow.fs
from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from cloudmlops.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.feature_store.files import File
from cloudmlops.providers.verdicts import verdict
from cloudmlops.storage.remote import RemoteStore

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire

NO_VALUES: Final = {"cloudmlops": "no values"}
"""Describes a column that was kept when it had nulls only: it fits any type."""


_WRITING: Final = timedelta(minutes=30)
"""So long a token has to be good that a table is written with."""
_MARK: Final = "cloudmlopsWrite"
"""What a commit says it is, so that one whose answer was lost is found."""
_MOST_ATTEMPTS: Final = 10
_STATUS: Final = re.compile(r"\b(401|403|404|409|412|429|500|502|503|504)\b [A-Z]")
_KINDS: Final[Mapping[str, type[ServiceError]]] = {
    "401": AuthenticationError,
    "403": PermissionDeniedError,
    "409": ConflictError,
    "412": ConflictError,
    "429": QuotaExceededError,
}
_HINTS: Final[Mapping[type[ServiceError], str]] = {
    AuthenticationError: "Log in with `az login`, or check the service principal's secret.",
    PermissionDeniedError: "The caller needs the role Storage Blob Data Contributor on the storage account, or Storage "
    "Blob Data Reader only to read; Owner and Contributor of the account do not let at its data.",
    ConflictError: "Somebody else writes the table; try again.",
}
_WORDLESS: Final = re.compile(r"\x1b\[[0-9;]*m|[↳\ufeff]")
_TRY_AGAIN: Final = "Try again; nothing that was acknowledged is lost."


class Lake:
    """What lies in storage accounts, by addresses such as `abfss://container@account.dfs.core.windows.net/folder`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def table(
        self, uri: str, *, operation: str, resource: str, lasting: timedelta = timedelta(0)
    ) -> deltalake.DeltaTable | None:
        """Open the Delta table at an address; None when there is none.

        Args:
            uri: The address.
            operation: The verb that it is asked for.
            resource: What is concerned, in our names.
            lasting: So long what is done with it may take.

        Raises:
            ServiceError: Storage's answer, as ours.
        """
        try:
            return self._opened(uri, operation, resource, lasting)
        except AuthenticationError:  # storage may find a token too old before its time
            self._wire.credential.renew()
            return self._opened(uri, operation, resource, lasting)

    def replace(self, uri: str, table: pa.Table, *, operation: str, resource: str) -> None:
        """Put rows in the place of all that a Delta table has, or make it; at once, or not at all.

        A concurrent writer's rows are replaced, too: the last one counts.

        Raises:
            ServiceError: Storage's answer, as ours.
        """
        mark, first, renewed = uuid4().hex, -1, False
        for left in reversed(range(_MOST_ATTEMPTS)):
            known = self.table(uri, operation=operation, resource=resource, lasting=_WRITING)
            if first < 0:
                first = 0 if known is None else known.version() + 1
            try:
                with _translated(operation, resource):
                    self._overwrite(uri if known is None else known, table, mark)
            except ServiceError as error:
                too_old = isinstance(error, AuthenticationError) and not renewed
                if too_old:
                    self._wire.credential.renew()
                    renewed = True
                # A repeated commit meets its own first copy, whose answer was lost.
                if self._committed(uri, first, mark):
                    return
                if not left or not (too_old or isinstance(error, ConflictError)):
                    raise
            else:
                return

    def rows(
        self, uri: str, table: deltalake.DeltaTable, columns: list[str], *, operation: str, resource: str
    ) -> pa.Table:
        """Read columns of a Delta table that was opened at an address."""
        with _translated(operation, resource):
            added = pa.table(table.get_add_actions(flatten=True))
            paths = [unquote(path) for path in added["path"].to_pylist()]
            sizes = dict(zip(paths, added["size_bytes"].to_pylist(), strict=True))
            files = _Files(self._store(uri), uri, self._options(uri), sizes)
            return table.to_pyarrow_table(columns=columns, filesystem=pyarrow.fs.PyFileSystem(files))

    def files(self, folder: str) -> list[File]:
        """Return all files below an address, by their paths from there, in their order."""
        store = self._store(folder)
        return [
            File(name=name, size=size, open=partial(store.open, name, size)) for name, size in sorted(store.sizes())
        ]

    def _opened(self, uri: str, operation: str, resource: str, lasting: timedelta) -> deltalake.DeltaTable | None:
        with _translated(operation, resource):
            try:
                return deltalake.DeltaTable(uri, storage_options=self._options(uri, lasting))
            except TableNotFoundError:
                return None

    def _overwrite(self, target: str | deltalake.DeltaTable, table: pa.Table, mark: str) -> None:
        deltalake.write_deltalake(
            target,
            table,
            mode="overwrite",
            schema_mode="overwrite",
            storage_options=self._options(target, _WRITING) if isinstance(target, str) else None,
            commit_properties=deltalake.CommitProperties(custom_metadata={_MARK: mark}),
        )

    def _committed(self, uri: str, first: int, mark: str) -> bool:
        """Say whether one of a table's commits from a version on has a mark."""
        log = self._store(f"{uri}/_delta_log")
        for version in count(first):
            try:
                if mark.encode() in log.get(f"{version:020}.json"):
                    return True
            except NotFoundError:
                return False
        return False

    def _store(self, folder: str) -> RemoteStore:
        parts = urlsplit(folder)
        return RemoteStore.at(
            parts.scheme,
            parts.netloc,
            parts.path.strip("/"),
            tokens=self._wire.storage_token,
            timeout=self._wire.settings.timeout,
        )

    def _options(self, uri: str, lasting: timedelta = timedelta(0)) -> dict[str, str]:
        account, _, suffix = (urlsplit(uri).hostname or "").partition(".dfs.")
        timeout = f"{self._wire.timeout:g}s"
        return {
            "bearer_token": self._wire.storage_token(lasting=lasting)[0],
            "azure_endpoint": f"https://{account}.blob.{suffix}",
            "timeout": timeout,
            "retry_timeout": timeout,
        }


class _Files(DeltaStorageHandler):
    """The files of a table, read by the store that renews its credentials."""

    def __init__(self, store: RemoteStore, uri: str, options: dict[str, str], sizes: dict[str, int]) -> None:
        super().__init__(uri, options, sizes)
        self._store = store
        self._sizes = sizes

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Return a file of the table."""
        return pa.PythonFile(self._store.open(path, self._sizes[path]), mode="r")


@contextmanager
def _translated(operation: str, resource: str) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        if isinstance(error, ServiceError):
            raise
        raise _translation(error, operation, resource) from error


def _translation(error: Exception, operation: str, resource: str) -> Exception:
    """Return ours for an exception of deltalake, which says all in its text."""
    said = _WORDLESS.sub("", str(error)).split("\n<?xml")[0]
    details: dict[str, Any] = {"provider": PROVIDER, "operation": operation, "resource": resource}
    if isinstance(error, DeltaProtocolError):
        return UnsupportedError(
            f"the Delta table {resource!r} cannot be read: {said}",
            hint="Write it without the features that it names, or keep a copy with platform.features.write_table.",
        )
    status = _STATUS.search(str(error))
    kind: type[ServiceError] = _KINDS.get(status[1] if status else "", UnavailableError)
    if isinstance(error, CommitFailedError):
        kind = ConflictError
    message = f"{operation} of {resource!r} {verdict(kind)}: {' '.join(said.split())}"
    details["retryable"] = issubclass(kind, UnavailableError | QuotaExceededError)
    return kind(message, hint=_HINTS.get(kind, _TRY_AGAIN), **details)
