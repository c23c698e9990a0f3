"""Vertex AI, with its feature store on BigQuery and Bigtable, and Cloud Storage for ledger, inbox and artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudmlops.ports.backends import Backends, Provider

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.settings import VertexSettings


def _open(target: str | VertexSettings) -> Backends:
    from cloudmlops.providers.vertex.backends import VertexBackends  # here, because it loads pydantic
    from cloudmlops.providers.vertex.settings import VertexSettings

    return VertexBackends(VertexSettings.from_target(target) if isinstance(target, str) else target)


provider = Provider(name="vertex", extra="vertex", open=_open)
