"""Settings of the embedded provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import ConfigurationError

MEMORY = ":memory:"
_LOOPBACK = "127.0.0.1"
_PREDICTION_TIMEOUT = timedelta(seconds=60)


def _seconds(given: object) -> object:
    """Read a number of seconds, as a URL and a variable hold it; pydantic reads the rest, such as `PT90S`."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        return given


class LocalSettings(BaseSettings):
    """Where a local platform lies; also read from `CLOUDMLOPS_LOCAL_*` variables, except for `:memory:`."""

    provider: ClassVar[str] = "local"
    model_config = SettingsConfigDict(env_prefix="CLOUDMLOPS_LOCAL_", frozen=True, extra="forbid")

    path: str
    """The folder; `:memory:` is a private one, removed on close, on a memory file system where there is one."""
    store: str | None = None
    """Another object store for ledger, inbox and artifacts, such as `s3://bucket/prefix`; None is the folder itself."""
    as_of: AwareDatetime | None = None
    """Replay history: features are read online as they were known at this time."""
    endpoint_host: str = _LOOPBACK
    """Where new endpoints listen; `0.0.0.0` lets other machines in, and nothing asks them who they are."""
    prediction_timeout: Annotated[
        timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0), le=timedelta(days=1))
    ] = _PREDICTION_TIMEOUT
    """So long may a model take for a request; then the caller gets 504, and a worker that hangs is replaced. It holds
    for what is deployed afterwards; 60 s is what Vertex AI allows. In a URL: seconds."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 pydantic names them
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read variables too; but what is private to a process must not reach a bucket that a shell happens to name."""
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        return (init_settings,) if given.get("path") == MEMORY else (init_settings, env_settings)

    @classmethod
    def from_target(cls, target: str) -> Self:
        """Read `local://PATH?store=…&as_of=…&endpoint_host=…&prediction_timeout=…`.

        Raises:
            ConfigurationError: For anything else.
        """
        rest = target.removeprefix("local://")
        path, _, query = rest.partition("?")
        path = unquote(path)
        if not path:
            raise ConfigurationError(
                f"the target {redacted(target)!r} names no folder",
                hint="Write local://FOLDER or local:///absolute/folder.",
            )
        given: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
        try:
            return cls(**{"path": path, **given})
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ConfigurationError(
                f"the target {redacted(target)!r} is not understood: {faults}",
                hint="Known settings: store, as_of, endpoint_host, prediction_timeout.",
            ) from None  # pydantic's error quotes the values

    def target(self, folder: Path) -> str:
        """Return the URL of this platform for another process; `folder` is where it lies."""
        host = self.endpoint_host if self.endpoint_host != _LOOPBACK else None
        timeout = self.prediction_timeout if self.prediction_timeout != _PREDICTION_TIMEOUT else None
        known = (
            ("store", self.store),
            ("as_of", self._as_of_text()),
            ("endpoint_host", host),
            ("prediction_timeout", timeout and f"{timeout.total_seconds():g}"),
        )
        query = {name: value for name, value in known if value}
        return f"local://{quote(str(folder))}" + (f"?{urlencode(query)}" if query else "")

    def _as_of_text(self) -> str | None:
        return self.as_of.astimezone(UTC).isoformat() if self.as_of else None

    def feature_time(self, now: datetime) -> datetime:
        """Return the time at which features are read online."""
        return self.as_of or now
