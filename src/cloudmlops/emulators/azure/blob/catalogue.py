"""Accounts, containers, blobs and blocks: every change is one transaction, and of a race one wins."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Final
from urllib.parse import quote
from weakref import WeakKeyDictionary

from cloudmlops.emulators.azure.blob.content import Content
from cloudmlops.emulators.azure.blob.errors import BlobError
from cloudmlops.emulators.azure.blob.records import Account, Blob, Block, Container, ticks
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.core.state import State

NAME: Final = "blob"
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER: Final = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){2,62}")
_LONGEST_NAME: Final = 1024
_KEY_BYTES: Final = 64
_catalogues: WeakKeyDictionary[State, Catalogue] = WeakKeyDictionary()


def catalogue_of(surroundings: Surroundings) -> Catalogue:
    """Return the one catalogue of an emulator."""
    if (known := _catalogues.get(surroundings.state)) is None:
        known = _catalogues[surroundings.state] = Catalogue(surroundings)
    return known


class Catalogue:
    """All that the service holds."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.clock = surroundings.clock
        self.state = surroundings.state
        self.content = Content(self.state.folder / NAME / "content")
        self._accounts = self.state.table("blob_accounts")
        self._containers = self.state.table("blob_containers")
        self._blobs = self.state.table("blob_blobs")
        self._blocks = self.state.table("blob_blocks")
        self._counters = self.state.table("blob_counters")
        self._depth = 0
        self._leaving: list[str] = []
        self.content.sweep(self._files())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let nobody else in between; files that nothing refers to any more go once all is written."""
        gone: list[str] = []
        with self.state.transaction():
            mark = len(self._leaving)
            self._depth += 1
            try:
                yield
            except BaseException:
                del self._leaving[mark:]  # what refers to them is there again
                raise
            finally:
                self._depth -= 1
            if not self._depth:
                gone, self._leaving = self._leaving, gone
        self.content.drop(gone)

    def now(self) -> str:
        """The moment, as records have it."""
        return self.clock.now().isoformat()

    def etag(self) -> str:
        """Return an ETag that nothing had before: the moment's ticks, or the next while the clock stands."""
        with self.state.transaction():
            last = int(self._counters.get("etag") or b"0")
            new = max(ticks(self.clock.now()), last + 1)
            self._counters.put("etag", str(new).encode())
        return f"0x{new:X}"

    # Accounts

    def make_account(self, name: str, resource: str) -> Account:
        """Return an account; make it with two keys when there is none.

        Raises:
            ValueError: The name is none that an account may have.
        """
        if not _ACCOUNT.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a storage account: 3 to 24 lower-case letters and digits")
        keys = tuple(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() for _ in range(2))
        self._accounts.create(name, Account(name=name, resource=resource, keys=keys).to_json())
        return self.account(name)

    def account(self, name: str) -> Account:
        """Find an account, or refuse."""
        if (found := self._accounts.get(name)) is None:
            raise BlobError("AccountNotFound")
        return Account.from_json(found)

    # Containers

    def container(self, account: str, name: str) -> Container:
        """Find a container, or refuse."""
        if (found := self._containers.get(f"{account}/{name}")) is None:
            raise BlobError("ContainerNotFound")
        return Container.from_json(found)

    def containers(self, account: str, prefix: str = "", *, after: str = "") -> list[Container]:
        """Return the containers of an account whose names begin with `prefix` and come after `after`."""
        rows = self._containers.items(f"{account}/{prefix}", after=f"{account}/{after}" if after else "")
        return [Container.from_json(data) for _, data in rows]

    def create_container(self, account: str, name: str, metadata: dict[str, str]) -> Container:
        """Make a container, or refuse."""
        if not _CONTAINER.fullmatch(name):
            raise BlobError("InvalidResourceName")
        made = Container(account=account, name=name, etag=self.etag(), modified=self.now(), metadata=metadata)
        if not self._containers.create(f"{account}/{name}", made.to_json()):
            raise BlobError("ContainerAlreadyExists")
        return made

    def change_container(self, container: Container) -> Container:
        """Keep what was changed of a container; return it with its new ETag."""
        changed = replace(container, etag=self.etag(), modified=self.now())
        self._containers.put(f"{container.account}/{container.name}", changed.to_json())
        return changed

    def delete_container(self, container: Container) -> None:
        """Remove a container with all that is in it."""
        with self.transaction():
            for blob in self.blobs(container.account, container.name):
                self.remove(blob)
            self._containers.delete(f"{container.account}/{container.name}")

    # Blobs

    def find(self, account: str, container: str, name: str) -> Blob | None:
        """Find a blob in a container that there is, be it uncommitted."""
        self.container(account, container)
        found = self._blobs.get(f"{account}/{container}/{name}")
        return Blob.from_json(found) if found is not None else None

    def get(self, account: str, container: str, name: str) -> Blob:
        """Find a committed blob, or refuse."""
        found = self.find(account, container, name)
        if found is None or not found.committed:
            raise BlobError("BlobNotFound")
        return found

    def open(self, account: str, container: str, name: str) -> tuple[Blob, IO[bytes]]:
        """Find a committed blob and open its bytes, which stay readable whatever happens to it."""
        with self.transaction():
            blob = self.get(account, container, name)
            return blob, self.content.open(blob.file)

    def blobs(self, account: str, container: str, prefix: str = "", *, after: str = "") -> list[Blob]:
        """Return blobs by name, uncommitted ones too, whose names begin with `prefix` and come after `after`."""
        start = f"{account}/{container}/"
        rows = self._blobs.items(f"{start}{prefix}", after=f"{start}{after}" if after else "")
        return [Blob.from_json(data) for _, data in rows]

    def put(self, blob: Blob, *, known: Blob | None) -> Blob:
        """Keep a blob in the place of what was there, whose file goes when it is another."""
        if known is not None and known.file not in ("", blob.file):
            self._leaving.append(known.file)
        self._blobs.put(f"{blob.account}/{blob.container}/{blob.name}", blob.to_json())
        return blob

    def remove(self, blob: Blob) -> None:
        """Remove a blob with its uncommitted blocks; within a transaction."""
        if blob.file:
            self._leaving.append(blob.file)
        self.drop_blocks(blob)
        self._blobs.delete(f"{blob.account}/{blob.container}/{blob.name}")

    # Blocks

    def blocks(self, account: str, container: str, name: str) -> list[Block]:
        """Return the uncommitted blocks of a blob, in the order of their ids."""
        return [Block.from_json(data) for _, data in self._blocks.items(_of_blocks(account, container, name))]

    def put_block(self, blob: Blob, block: Block) -> None:
        """Keep an uncommitted block, in the place of one of its id; within a transaction."""
        key = _of_blocks(blob.account, blob.container, blob.name) + block.id
        if (known := self._blocks.get(key)) is not None:
            self._leaving.append(Block.from_json(known).file)
        self._blocks.put(key, block.to_json())

    def drop_blocks(self, blob: Blob) -> None:
        """Remove all uncommitted blocks of a blob; within a transaction."""
        start = _of_blocks(blob.account, blob.container, blob.name)
        for key, data in self._blocks.items(start):
            self._leaving.append(Block.from_json(data).file)
            self._blocks.delete(key)

    def _files(self) -> set[str]:
        files = {Blob.from_json(data).file for _, data in self._blobs.items()}
        return files | {Block.from_json(data).file for _, data in self._blocks.items()}


def check_name(name: str) -> None:
    """Refuse what no blob may be called."""
    if not name or len(name) > _LONGEST_NAME:
        raise BlobError("InvalidUri" if name else "InvalidResourceName")


def _of_blocks(account: str, container: str, name: str) -> str:
    """Return how the keys of a blob's blocks begin: no other blob's do."""
    return f"{account}/{container}/{quote(name, safe='')}?"
