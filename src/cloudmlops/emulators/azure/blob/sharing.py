"""Blobs for the emulator's other services, without a wire between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from cloudmlops.emulators.azure.blob import sas
from cloudmlops.emulators.azure.blob.catalogue import catalogue_of, check_name
from cloudmlops.emulators.azure.blob.errors import BlobError
from cloudmlops.emulators.azure.blob.records import Account, Blob
from cloudmlops.emulators.azure.blob.targets import SUFFIX
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.core.streaming import pieces_of


class Blobs:
    """What jobs, deployments and events read and write; as durable and visible as a client's own.

    Errors are `Refused` as on the wire: `BlobNotFound`, `ContainerNotFound`. Do not call what writes within a
    transaction of your own: the bytes that it replaces go when it returns, which no later rollback brings back.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._catalogue = catalogue_of(surroundings)

    # Accounts and containers

    def make_account(self, name: str, resource: str) -> None:
        """Make a storage account, unless there is one of that name.

        Args:
            name: 3 to 24 lower-case letters and digits.
            resource: Its id in Azure Resource Manager: where roles on it are assigned.
        """
        self._catalogue.make_account(name, resource)

    def key(self, account: str) -> str:
        """Return the first key of an account, in Base64."""
        return self._catalogue.account(account).keys[0]

    def make_container(self, account: str, container: str) -> None:
        """Make a container, unless there is one of that name."""
        with self._catalogue.transaction():
            if all(known.name != container for known in self._catalogue.containers(account, container)):
                self._catalogue.create_container(account, container, {})

    def containers(self, account: str) -> list[str]:
        """Return the names of an account's containers, sorted."""
        return [one.name for one in self._catalogue.containers(account)]

    # Signatures

    def account_sas(self, account: str, *, permissions: str, lasts: timedelta, key: str = "") -> str:
        """Return a SAS for all containers and blobs of an account, as Azure Machine Learning writes it: `?sv=…`.

        Args:
            account: Its name; it need not be emulated if a key is given.
            permissions: Letters, such as `rl`.
            lasts: How long on the clock.
            key: What it is signed with; empty is the account's own.

        Raises:
            ValueError: The key is not Base64.
        """
        until = self._catalogue.clock.now() + lasts
        signing = Account(name=account, resource="", keys=(key,)) if key else self._catalogue.account(account)
        return sas.account_sas(signing, permissions=permissions, until=until)

    def container_url(self, account: str, container: str, *, permissions: str, lasts: timedelta) -> str:
        """Return the URL of a container with a SAS."""
        until = self._catalogue.clock.now() + lasts
        signed = sas.container_sas(self._catalogue.account(account), container, permissions=permissions, until=until)
        return f"https://{account}{SUFFIX}/{container}?{signed}"

    def blob_url(self, account: str, container: str, name: str, *, permissions: str, lasts: timedelta) -> str:
        """Return the URL of a blob with a SAS; there need not be one yet."""
        until = self._catalogue.clock.now() + lasts
        signed = sas.blob_sas(self._catalogue.account(account), container, name, permissions=permissions, until=until)
        return f"https://{account}{SUFFIX}/{container}/{quote(name)}?{signed}"

    # Blobs

    def read(self, account: str, container: str, name: str) -> bytes:
        """Read a blob."""
        blob, file = self._catalogue.open(account, container, name)
        with file:
            return file.read(blob.size)

    def write(
        self,
        account: str,
        container: str,
        name: str,
        data: bytes | Path,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write a block blob from bytes or from a local file, whatever was there."""
        if isinstance(data, Path):
            with data.open("rb") as file:
                self._write(account, container, name, "BlockBlob", pieces_of(file), content_type, metadata or {})
        else:
            self._write(account, container, name, "BlockBlob", [data], content_type, metadata or {})

    def append(self, account: str, container: str, name: str, data: bytes, *, content_type: str = "text/plain") -> None:
        """Append to an append blob; make it when there is none."""
        with self._catalogue.transaction():
            known = self._catalogue.find(account, container, name)
            if known is None or not known.committed:
                known = self._write(account, container, name, "AppendBlob", [], content_type, {})
            if known.kind != "AppendBlob":
                raise BlobError("InvalidBlobType")
            size = self._catalogue.content.append(known.file, known.size, [data])
            self._put(known, size=size, appended=known.appended + 1)

    def list(self, account: str, container: str, prefix: str = "") -> list[str]:
        """Return the names that begin with `prefix`, sorted."""
        self._catalogue.container(account, container)
        return [one.name for one in self._catalogue.blobs(account, container, prefix) if one.committed]

    def exists(self, account: str, container: str, name: str) -> bool:
        """Say whether there is a blob."""
        found = self._catalogue.find(account, container, name)
        return found is not None and found.committed

    def size(self, account: str, container: str, name: str) -> int:
        """Return how many bytes a blob has."""
        return self._catalogue.get(account, container, name).size

    def path_of(self, account: str, container: str, name: str) -> Path:
        """Return a local file with a blob's bytes, to read only; it goes when the blob does."""
        return self._catalogue.content.path(self._catalogue.get(account, container, name).file)

    def delete(self, account: str, container: str, name: str) -> None:
        """Remove a blob."""
        with self._catalogue.transaction():
            self._catalogue.remove(self._catalogue.get(account, container, name))

    def download(self, account: str, container: str, prefix: str, folder: Path) -> Sequence[Path]:
        """Write all blobs below a prefix, or the one of that name, into a local folder; return the files."""
        base = prefix.rstrip("/")
        files = []
        for name in self.list(account, container, base):
            inner = name.removeprefix(base).lstrip("/") if name != base else name.rpartition("/")[2]
            if name != base and base and not name.startswith(f"{base}/"):
                continue
            file = (folder / inner).resolve()
            if not file.is_relative_to(folder.resolve()):
                raise BlobError("InvalidResourceName")
            file.parent.mkdir(parents=True, exist_ok=True)
            blob, source = self._catalogue.open(account, container, name)
            with source, file.open("wb") as target:
                for piece in pieces_of(source, blob.size):
                    target.write(piece)
            files.append(file)
        return files

    def upload(self, folder: Path, account: str, container: str, prefix: str) -> Sequence[str]:
        """Write all files of a local folder below a prefix; return the names of the blobs."""
        names = []
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            names.append("/".join(part for part in (prefix.strip("/"), file.relative_to(folder).as_posix()) if part))
            self.write(account, container, names[-1], file)
        return names

    def _write(
        self,
        account: str,
        container: str,
        name: str,
        kind: str,
        pieces: Iterable[bytes],
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Blob:
        check_name(name)
        self._catalogue.container(account, container)
        stored = self._catalogue.content.store(pieces)
        try:
            with self._catalogue.transaction():
                known = self._catalogue.find(account, container, name)
                now = self._catalogue.now()
                made = Blob(
                    account=account,
                    container=container,
                    name=name,
                    kind=kind,
                    etag=self._catalogue.etag(),
                    created=known.created if known else now,
                    modified=now,
                    file=stored.file,
                    size=stored.size,
                    md5=stored.md5 if kind == "BlockBlob" else None,
                    settings={"content-type": content_type},
                    metadata=dict(metadata),
                )
                self._catalogue.drop_blocks(made)
                return self._catalogue.put(made, known=known)
        except BaseException:
            self._catalogue.content.drop([stored.file])
            raise

    def _put(self, blob: Blob, *, size: int, appended: int) -> None:
        etag, modified = self._catalogue.etag(), self._catalogue.now()
        self._catalogue.put(replace(blob, size=size, appended=appended, etag=etag, modified=modified), known=blob)
