"""OpenTelemetry spans, one a service verb; without an SDK installed they cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace


@cache
def _tracer() -> trace.Tracer:
    return trace.get_tracer("cloudmlops")


@contextmanager
def span(verb: str, **attributes: object) -> Iterator[None]:
    """Trace one verb, such as `models.promote`; an attribute that is None is left out."""
    known = {f"cloudmlops.{name}": str(value) for name, value in attributes.items() if value is not None}
    with _tracer().start_as_current_span(f"cloudmlops.{verb}", attributes=known):
        yield
