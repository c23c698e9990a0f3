"""Connecting, and the platform that a user holds: five nouns behind one door."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cloudmlops import _targets
from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.domain.lineage import RunRef
from cloudmlops.domain.models import Stage
from cloudmlops.errors import ConfigurationError, InvalidRequestError, ProviderNotInstalledError

if TYPE_CHECKING:
    from cloudmlops.domain.access import MissingPermission
    from cloudmlops.domain.capabilities import Capabilities, Capability
    from cloudmlops.domain.events import Event
    from cloudmlops.domain.policies import Policy
    from cloudmlops.domain.surroundings import Named
    from cloudmlops.ports.backends import Backends, Provider
    from cloudmlops.services.access import Access
    from cloudmlops.services.context import ServiceContext
    from cloudmlops.services.endpoints import Endpoints
    from cloudmlops.services.events import Events
    from cloudmlops.services.features import Features
    from cloudmlops.services.models import Models
    from cloudmlops.services.pipelines import Pipelines

RUN_VARIABLE = "CLOUDMLOPS_RUN"
"""Set by the runtime inside a step: run id, pipeline and step, separated by `/`."""

Policies = Mapping[Stage, "Sequence[Policy]"]


def connect(
    target: str | object | None = None, *, actor: str | None = None, policies: Policies | None = None
) -> Platform:
    """Connect to a platform; nothing is contacted before its first use.

    Args:
        target: `local://FOLDER`, `local://:memory:` (a private folder that is removed on `close`), the name of a target
            in `cloudmlops.toml` or `[tool.cloudmlops]`, or None: then `CLOUDMLOPS_TARGET`, else the default target.
            Also a provider's settings, such as `LocalSettings(path="FOLDER")`.
        actor: Act under this name. Nobody checks it, so records mark it as self-declared; without it the provider says
            who is calling.
        policies: What a promotion must satisfy, by the stage promoted to; added to those of the nearest configuration,
            which are read now. They bind whoever connects with them: the platform itself keeps none.

    Raises:
        ConfigurationError: The target is missing, malformed, or of an unknown provider; or the configuration or a
            policy is.
        InvalidRequestError: The actor's name is empty or cannot be printed.
        ProviderNotInstalledError: The provider's packages are missing; the hint names the extra.
    """
    known = _targets.configuration(Path.cwd())
    opened: object = _targets.resolve(target, known) if target is None or isinstance(target, str) else target
    scheme = opened.partition("://")[0] if isinstance(opened, str) else getattr(opened, "provider", None)
    if not isinstance(scheme, str):
        raise ConfigurationError(
            f"a {type(opened).__name__} is not a target", hint="Give a URL, a name or a provider's settings."
        )
    declared = _declared(actor) if actor is not None else None
    rules = _policies(known, policies)
    provider = _provider(scheme)
    try:
        backends = provider.open(opened)
    except ImportError as error:
        raise ProviderNotInstalledError(
            f"the provider {provider.name!r} needs the package {error.name!r}, which is not installed",
            hint=f'pip install "cloudmlops[{provider.extra}]"',
        ) from error
    return Platform(backends, actor=declared, policies=rules)


def extra_of(target: str | None = None) -> str:
    """Return which extra of cloudmlops has the packages that a target needs, such as `azureml`.

    Args:
        target: As for `connect`.

    Raises:
        ConfigurationError: The target is missing, or of an unknown provider; or the configuration is wrong.
    """
    url = _targets.resolve(target, _targets.configuration(Path.cwd()))
    return _provider(url.partition("://")[0]).extra


class Platform:
    """A connected platform. Use as a context manager, or call `close`."""

    def __init__(self, backends: Backends, *, actor: Actor | None = None, policies: Policies | None = None) -> None:
        self._backends = backends
        self._actor = actor
        self._policies: Policies = policies or {}

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        return self._backends.target

    @property
    def address(self) -> str:
        """The platform's stable name in events and records: the target without query and credentials."""
        return self._backends.address

    @property
    def capabilities(self) -> Capabilities:
        """For every feature on which providers differ: native, emulated or absent, with reason and way round."""
        return self._backends.capabilities

    @property
    def native(self) -> object:
        """The vendor's own client."""
        return self._backends.native

    @cached_property
    def actor(self) -> Actor:
        """Who acts through this object."""
        return self._actor or self._backends.actor()

    def acting_as(self, actor: str) -> Platform:
        """Return the same platform under another, self-declared name."""
        return Platform(self._backends, actor=_declared(actor), policies=self._policies)

    def require(self, *capabilities: Capability | str) -> None:
        """Raise `UnsupportedError` at once, naming each capability that is absent and the way round."""
        self.capabilities.require(*capabilities)

    @cached_property
    def pipelines(self) -> Pipelines:
        """Runs of step graphs."""
        from cloudmlops.services.pipelines import Pipelines

        return Pipelines(self._context)

    @cached_property
    def features(self) -> Features:
        """The feature store."""
        from cloudmlops.services.features import Features

        return Features(self._context)

    @cached_property
    def models(self) -> Models:
        """The model registry and its ledger."""
        from cloudmlops.services.models import Models

        return Models(self._context, policies=self._policies)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Online and batch predictions."""
        from cloudmlops.services.endpoints import Endpoints

        return Endpoints(self._context, models=self.models)

    @cached_property
    def events(self) -> Events:
        """What happened, handled at least once."""
        from cloudmlops.services.events import Events

        return Events(self._context, platform=self, outbox=lambda: self.models.outbox)

    @cached_property
    def access(self) -> Access:
        """Who may do what."""
        from cloudmlops.services.access import Access

        return Access(self._context)

    def check_access(self, verbs: Sequence[str]) -> tuple[MissingPermission, ...]:
        """Return what the caller lacks for `verbs`, such as `models.promote`, and the role that would grant it."""
        return self.access.check(verbs)

    def check_settings(self) -> tuple[Named, ...]:
        """Return what the settings name beside the platform itself, whether it is there, and what is wrong with it."""
        return tuple(self._backends.named())

    @cached_property
    def _context(self) -> ServiceContext:
        from cloudmlops.services.context import ServiceContext

        return ServiceContext(backends=self._backends, actor=self.actor, publish=self._publish, run=_current_run())

    def _publish(self, event: Event) -> None:
        self.events.emit(event)

    def close(self) -> None:
        """Let go of connections and files; runs and endpoints go on, except those of `local://:memory:`."""
        self._backends.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Platform({self._backends.address!r})"


def _declared(name: object) -> Actor:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InvalidRequestError(f"{name!r} is not the name of an actor", hint="Give a name that can be printed.")
    return Actor(id=name, kind=ActorKind.SELF_DECLARED)


def _policies(known: _targets.Configuration, given: Policies | None) -> Policies:
    if not known.policies and not given:
        return {}
    from cloudmlops.domain.policies import checked_policies, merged, policies_from

    return merged(policies_from(known.policies, str(known.path)), checked_policies(given or {}))


def _provider(scheme: str) -> Provider:
    found = {point.name: point for point in entry_points(group="cloudmlops.providers")}
    if scheme not in found:
        raise ConfigurationError(
            f"no provider is named {scheme!r}",
            hint=f"Installed providers: {', '.join(sorted(found)) or 'none'}. A target looks like local://FOLDER.",
        )
    provider: Provider = found[scheme].load()
    return provider


def _current_run() -> RunRef | None:
    if not (value := os.environ.get(RUN_VARIABLE)):
        return None
    run, _, rest = value.partition("/")
    pipeline, _, step = rest.partition("/")
    return RunRef(id=run, pipeline=pipeline, step=step)
