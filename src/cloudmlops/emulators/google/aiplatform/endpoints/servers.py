"""How a model is to be served: routes, variables and logs, as Vertex AI documents them for custom containers."""

from __future__ import annotations

from typing import Any

from cloudmlops.emulators.google.aiplatform.endpoints.fleet import Machine, Server
from cloudmlops.emulators.google.aiplatform.handling import Vertex


def endpoint_server(vertex: Vertex, endpoint: Any, deployed: Any, model: Any) -> Server:
    """Return the server of a model that is deployed to an endpoint."""
    _, project, _, location, _, identity = endpoint.name.split("/")
    default = f"/v1/endpoints/{identity}/deployedModels/{deployed.id}"
    resources = deployed.dedicated_resources
    return Server(
        machine=Machine(
            resource=endpoint.name,
            deployed_model=deployed.id,
            machine_type=resources.machine_spec.machine_type,
            replicas=resources.min_replica_count,
        ),
        model=model,
        variables={
            "AIP_ENDPOINT_ID": identity,
            "AIP_DEPLOYED_MODEL_ID": deployed.id,
            "AIP_MODEL_NAME": model.name.rpartition("/")[2],
            "AIP_VERSION_NAME": model.version_id,
        },
        project=vertex.projects.id(project),
        resource={
            "type": "aiplatform.googleapis.com/Endpoint",
            "labels": {"resource_container": f"projects/{project}", "location": location, "endpoint_id": identity},
        },
        logged=not deployed.disable_container_logging,
        health_route=model.container_spec.health_route or default,
        predict_route=model.container_spec.predict_route or f"{default}:predict",
    )


def job_server(vertex: Vertex, job: Any, model: Any) -> Server:
    """Return the server of a batch prediction job."""
    _, project, _, location, _, identity = job.name.split("/")
    default = f"/v1/jobs/{identity}"
    resources = job.dedicated_resources
    return Server(
        machine=Machine(
            resource=job.name,
            deployed_model="",
            machine_type=resources.machine_spec.machine_type,
            replicas=resources.starting_replica_count or 1,
        ),
        model=model,
        variables={"AIP_MODEL_NAME": model.name.rpartition("/")[2], "AIP_VERSION_NAME": model.version_id},
        project=vertex.projects.id(project),
        resource={
            "type": "ml_job",
            "labels": {"project_id": vertex.projects.id(project), "location": location, "job_id": identity},
        },
        logged=not job.disable_container_logging,
        health_route=model.container_spec.health_route or default,
        predict_route=model.container_spec.predict_route or f"{default}:predict",
    )
