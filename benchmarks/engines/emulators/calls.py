"""The command of `cloudmlops emulate vertex -- …`: calls by Google's own clients, over gRPC, REST and BigQuery."""

from __future__ import annotations

import os
from typing import Any

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.aiplatform_v1 import Model, ModelServiceClient

from benchmarks.engines.emulators import point_read
from benchmarks.measuring import latencies

_PARENT = "projects/bench/locations/europe-west4"


def measured(*, calls: int) -> dict[str, Any]:
    url = os.environ["CLOUDMLOPS_EMULATOR"]
    address = url.removeprefix("http://")
    transport = ModelServiceClient.get_transport_class("grpc")
    over_rpc = ModelServiceClient(transport=transport(channel=grpc.insecure_channel(address)))
    over_rest = ModelServiceClient(
        transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )
    warehouse = bigquery.Client("bench", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    model = over_rpc.upload_model(parent=_PARENT, model=Model(display_name="bench")).result().model
    return {
        "grpc": latencies(lambda _: over_rpc.get_model(name=model), calls),
        "rest": latencies(lambda _: over_rest.get_model(name=model), calls),
        "query": latencies(lambda _: list(warehouse.query_and_wait("SELECT 1")), calls),
        "point_read": point_read.read(address, calls),
    }
