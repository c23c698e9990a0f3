"""What settings of cloud platforms have in common: a URL says them, variables add to it, all faults are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.scored_files import LONGEST_WAIT

_NONE: Final = "none"
"""None in a target; an empty text is refused, for a shell writes it where a variable is not set."""


def _seconds(given: object) -> object:
    """Read a number of seconds, as a URL and a variable hold it; pydantic reads the rest, such as `PT90S`."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        return given


def _none(given: object) -> object:
    return None if given == _NONE else given


OrNone = BeforeValidator(_none)
"""Reads `none` as None."""
Seconds = BeforeValidator(_seconds)
"""Reads a number as seconds."""


class TargetSettings(BaseSettings):
    """Settings that a URL `PROVIDER://…` says: parts of its path, and a query of all others."""

    provider: ClassVar[str]
    located_by: ClassVar[tuple[str, ...]]
    """The settings that the URL's path is made of."""
    hint: ClassVar[str]
    """How such a URL is written."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """The settings that no URL says: they are given by name or as variables."""

    timeout: Annotated[timedelta, Seconds, Field(gt=timedelta(0), le=timedelta(days=1))] = timedelta(seconds=60)
    """So long one call may take, with its repetitions. In a target: seconds."""
    batch_timeout: Annotated[timedelta, Seconds, Field(gt=timedelta(0), le=LONGEST_WAIT)] = timedelta(hours=12)
    """So long `endpoints.predict_batch` waits for its job, which is cancelled then. In a target: seconds."""
    as_of: Annotated[AwareDatetime | None, OrNone] = None
    """Replay history: features are read online as they were known at this time. None is `none` in a target."""

    def __init__(self, *, _named: str = "", _faults: Sequence[str] = (), **given: Any) -> None:
        """Take settings by name, and what is not given from variables.

        Raises:
            ConfigurationError: Some are missing or malformed, or contradict others; all faults are listed.
        """
        faults = list(_faults)
        try:
            super().__init__(**given)
        except ValidationError as error:
            faults += _told(error)
        # Raised here, for pydantic's error quotes the values.
        if faults:
            raise ConfigurationError(
                f"{_named or f'settings of a {self.provider}:// platform'} are not understood: {'; '.join(faults)}",
                hint=f"{self.hint} Known settings: {', '.join(type(self).model_fields)}.",
            )

    @classmethod
    def from_target(cls, target: str) -> Self:
        """Read a URL.

        Raises:
            ConfigurationError: It is malformed; all faults are listed.
        """
        parts = urlsplit(target)
        credentials, _, first = parts.netloc.rpartition("@")
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = dict(pairs)
        last = len(cls.located_by) - 1
        location = [first, *parts.path.strip("/").split("/", last - 1)] if last else [first]
        # Other names would reach pydantic's own options, such as the file that variables are read from.
        given = {name: value for name, value in query.items() if name in cls.model_fields}
        given |= dict(zip(cls.located_by, [*location, *[""] * last], strict=False))
        faults = [f"{name}: there is no such setting" for name in query if name not in cls.model_fields]
        faults += [f"{name}: it is given twice" for name in query if [known for known, _ in pairs].count(name) > 1]
        faults += [f"{name}: it stands before the question mark" for name in cls.located_by if name in query]
        variables = str(cls.model_config.get("env_prefix", ""))
        faults += [
            f"{name}: a URL holds no secrets; give it in the variable {variables}{name.upper()}"
            for name in cls.secrets
            if given.pop(name, None) is not None
        ]
        if credentials:
            faults.append(f"{cls.located_by[0]}: credentials stand before it; the vendor's own chain has them")
        if parts.fragment:
            faults.append("#: it begins nothing that is read; write %23")
        return cls(_named=f"settings of the target {redacted(target)!r}", _faults=faults, **given)

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        # All that was set, also to its default: the other process may have variables that say something else.
        names = [name for name in type(self).model_fields if name in self.model_fields_set]
        unsaid = {*self.located_by, *self.secrets}
        query = {name: _text(getattr(self, name)) for name in names if name not in unsaid}
        return f"{self.address}?{urlencode(query)}" if query else self.address

    @property
    def address(self) -> str:
        """The platform's stable name."""
        return f"{self.provider}://{'/'.join(getattr(self, name) for name in self.located_by)}"


def _text(value: object) -> str:
    """Return a value as a target holds it."""
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    if isinstance(value, datetime):
        return value.isoformat()
    return _NONE if value is None else str(value)


def _told(error: ValidationError) -> Iterator[str]:
    """Yield each fault with the setting's name, and without values."""
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        yield f"{'.'.join(map(str, fault['loc'][:1]))}: {fault['msg'].removeprefix('Value error, ')}"
