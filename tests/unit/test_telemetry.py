from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import cloudmlops as cm
from cloudmlops.errors import NotFoundError
from cloudmlops.services import telemetry


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    telemetry._tracer.cache_clear()
    yield exporter
    telemetry._tracer.cache_clear()


def test_a_verb_is_one_span_with_its_subject(platform: cm.Platform, spans: InMemorySpanExporter) -> None:
    assert platform.models.list() == []

    assert [span.name for span in spans.get_finished_spans()] == ["cloudmlops.models.list"]


def test_a_verb_that_fails_marks_its_span(platform: cm.Platform, spans: InMemorySpanExporter) -> None:
    with pytest.raises(NotFoundError):
        platform.models.get("churn", "1")

    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
    assert (span.attributes or {})["cloudmlops.model"] == "churn"
