"""The embedded provider: a folder that survives restarts and can be shared by processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudmlops.ports.backends import Backends, Provider

if TYPE_CHECKING:
    from cloudmlops.providers.local.settings import LocalSettings


def _open(target: str | LocalSettings) -> Backends:
    from cloudmlops.providers.local.backends import LocalBackends  # here, because it loads pydantic
    from cloudmlops.providers.local.settings import LocalSettings

    return LocalBackends(LocalSettings.from_target(target) if isinstance(target, str) else target)


provider = Provider(name="local", extra="local", open=_open)
