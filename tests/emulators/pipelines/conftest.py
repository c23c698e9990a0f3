"""Vertex AI and Cloud Storage on one emulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import pytest
from google.cloud.aiplatform_v1 import PipelineServiceClient

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.aiplatform.build import aiplatform, vertex_of
from cloudmlops.emulators.google.storage.service import service as storage

PROJECT = "p-of-tests"
PARENT = f"projects/{PROJECT}/locations/europe-west4"
BUCKET = "bucket-of-tests"


class Google:
    """The two services that pipelines need."""

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        """Build them."""
        self.surroundings = surroundings
        self.vertex = vertex_of(surroundings)
        return (
            aiplatform(
                self.vertex,
                mutated=lambda *_: None,
                check=lambda *_: None,
                principal=lambda _: "tester@example.com",
            ),
            storage(surroundings),
        )

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        """Return nothing: no child asks for credentials here."""
        return {}

    def reset(self) -> None:
        """Nothing is set."""


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """The services' own side."""
    cloud = Google()
    with Emulator([cloud]) as running:
        cloud.emulator = running
        yield cloud


@pytest.fixture(scope="module")
def pipelines(google: Google) -> PipelineServiceClient:
    """The real client."""
    kind = PipelineServiceClient.get_transport_class("grpc")
    return PipelineServiceClient(transport=kind(channel=grpc.insecure_channel(google.emulator.address)))
