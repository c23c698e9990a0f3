"""The embedded provider's parts, each built at first use."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.capabilities import Capabilities
from cloudmlops.errors import ConfigurationError, InvalidRequestError
from cloudmlops.ports.clock import Clock, SystemClock
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.local.hosting.ownership import mark_owner
from cloudmlops.providers.local.limits import LIMITS
from cloudmlops.providers.local.settings import MEMORY, LocalSettings

if TYPE_CHECKING:
    from cloudmlops.domain.surroundings import Named
    from cloudmlops.providers.local.access import LocalAccess
    from cloudmlops.providers.local.endpoints import LocalEndpoints
    from cloudmlops.providers.local.events import LocalEvents
    from cloudmlops.providers.local.features import LocalFeatures
    from cloudmlops.providers.local.models import LocalModels
    from cloudmlops.providers.local.pipelines import LocalPipelines


class LocalBackends:
    """One folder, its parts, and the processes that work in it."""

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        self.capabilities = Capabilities(provider="local", limits=LIMITS)
        self._remove: Callable[[], object] | None = None
        self._closed = False
        # Now, so that the process may change its working folder later.
        self._named = Path(settings.path).expanduser().absolute()

    @property
    def location(self) -> Path:
        """Where the folder is or will be; nothing is made, except for `:memory:`."""
        return self._named if self.durable else self.folder

    @cached_property
    def folder(self) -> Path:
        """The platform's folder, absolute; made at first use."""
        if not self.durable:
            if self._closed:
                raise InvalidRequestError(
                    "this local://:memory: platform was closed, and what it held is gone", hint="Connect again."
                )
            memory = Path("/dev/shm")  # noqa: S108 a memory file system where there is one; mkdtemp makes it private
            folder = Path(tempfile.mkdtemp(prefix="cloudmlops-", dir=memory if memory.is_dir() else None))
            mark_owner(folder)
            self._remove = weakref.finalize(self, partial(_remove_own, folder, os.getpid()))
            return folder
        try:
            self.location.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the platform's folder {self.location} cannot be made: {error.strerror}",
                hint="Name a folder that you can write to: local://FOLDER.",
            ) from error
        return self.location

    @property
    def durable(self) -> bool:
        """Whether what was written must survive a crash of the machine: not so for `:memory:`."""
        return self.settings.path != MEMORY

    @property
    def target(self) -> str:
        """The URL that connects another process to this folder."""
        return self.settings.target(self.location)

    @property
    def address(self) -> str:
        """The folder's address, without query."""
        return f"local://{self.location}"

    @property
    def registry_address(self) -> str:
        """The address of the store that several folders may share, else the folder's."""
        return self.objects.uri if self.settings.store else self.address

    def feature_time(self) -> datetime:
        """The time at which features are read online."""
        return self.settings.feature_time(self.clock.now())

    def actor(self) -> Actor:
        """The operating-system user, whatever variables such as `LOGNAME` say."""
        user = os.geteuid()
        try:
            return Actor(id=pwd.getpwuid(user).pw_name)
        except KeyError:
            return Actor(id=f"uid-{user}")

    @cached_property
    def objects(self) -> ObjectStore:
        """The store of ledger, inbox and artifacts."""
        from cloudmlops.storage.opening import open_store

        return open_store(self.settings.store or (self.location / "objects").as_uri(), durable=self.durable)

    @cached_property
    def pipelines(self) -> LocalPipelines:
        """Steps as processes on this machine."""
        from cloudmlops.providers.local.pipelines import LocalPipelines

        return LocalPipelines(self)

    @cached_property
    def features(self) -> LocalFeatures:
        """Features on Parquet."""
        from cloudmlops.providers.local.features import LocalFeatures

        return LocalFeatures(self)

    @cached_property
    def models(self) -> LocalModels:
        """Model versions as folders of the object store."""
        from cloudmlops.providers.local.models import LocalModels

        return LocalModels(self)

    @cached_property
    def endpoints(self) -> LocalEndpoints:
        """Endpoints as HTTP worker processes."""
        from cloudmlops.providers.local.endpoints import LocalEndpoints

        return LocalEndpoints(self)

    @cached_property
    def events(self) -> LocalEvents:
        """The local bus."""
        from cloudmlops.providers.local.events import LocalEvents

        return LocalEvents(self)

    @cached_property
    def access(self) -> LocalAccess:
        """What the operating system lets this user do."""
        from cloudmlops.providers.local.access import LocalAccess

        return LocalAccess(self)

    @property
    def native(self) -> Path:
        """The folder itself: there is no vendor."""
        return self.folder

    def named(self) -> Iterable[Named]:
        """Nothing: all of it lies in the folder."""
        return ()

    def close(self) -> None:
        """Let go; a `:memory:` platform ends its processes and is removed."""
        if "features" in self.__dict__:
            self.features.close()
        if not self.durable:
            if "folder" in self.__dict__ and (self.folder / "endpoints").is_dir():  # a step may have deployed
                self.endpoints.stop_all()
            if "pipelines" in self.__dict__:
                self.pipelines.stop_all()
        if "pipelines" in self.__dict__:
            self.pipelines.close()
        if not self.durable:
            self._let_go()

    def _let_go(self) -> None:
        """Remove the private folder, and leave nothing that would make it again."""
        from cloudmlops.storage.local import LocalStore

        self._closed = True
        if isinstance(objects := self.__dict__.get("objects"), LocalStore):
            objects.close()
        for name in [name for name in self.__dict__ if isinstance(getattr(type(self), name, None), cached_property)]:
            del self.__dict__[name]
        if self._remove is not None:
            self._remove()


def _remove_own(folder: Path, owner: int) -> None:
    # A forked child inherits the finalizer, and must not take the folder away from its parent.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
