"""`cloudmlops deploy`, `predict` and `endpoints`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudmlops.cli.session import Session, session_options
from cloudmlops.domain.endpoints import DeploymentStatus, EndpointStatus, Shortfall
from cloudmlops.errors import InvalidRequestError, InvalidTrafficError

if TYPE_CHECKING:
    from cloudmlops.domain.models import ModelVersion
    from cloudmlops.services.endpoints import Deployment

_DEPLOYMENT_COLUMNS = ("deployment", "model", "version", "state", "traffic_percent", "healthy", "restarts", "created")


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("version", metavar="VERSION|STAGE")
@click.option("--to", "endpoint", required=True, metavar="ENDPOINT", help="Made if there is none.")
@click.option("--name", metavar="DEPLOYMENT", help="By default v and the version.")
@click.option("--replicas", type=int, default=1, show_default=True, help="Worker processes.")
@click.option("--machine", metavar="TYPE", help="The provider's machine type; local records it only.")
@click.option("--traffic-percent", type=int, help="Its share once healthy. By default all for the first, else none.")
@click.option("--port", type=int, help="Where a new endpoint listens; by default any free port.")
@click.option("--wait/--detach", default=True, help="Wait until it is healthy, or let it start on its own.")
@click.option("--timeout", type=float, default=300, show_default=True, metavar="SECONDS", help="For --wait.")
@session_options
def deploy(
    session: Session,
    model: str,
    version: str,
    endpoint: str,
    name: str | None,
    replicas: int,
    machine: str | None,
    traffic_percent: int | None,
    port: int | None,
    wait: bool,
    timeout: float,
) -> None:
    """Serve a model version at an endpoint.

    Deploying is your word that the model's files can be trusted: loading a pickle runs the code in it.
    """
    with session.warned("cloudmlops.endpoints") as warnings:
        started = session.platform.endpoints.deploy(
            _version(session, model, version),
            to=endpoint,
            name=name,
            replicas=(replicas, replicas),
            machine=machine,
            traffic_percent=traffic_percent,
            port=port,
        )
    if wait:
        with _waiting(session, started):
            started.wait(timeout=timedelta(seconds=timeout))
    status = session.platform.endpoints.deployment(endpoint, started.status.deployed_as) or started.status
    at = session.platform.endpoints.status(endpoint).address if wait else None
    told = {"warnings": warnings} if session.as_json else {}
    session.record(f"{model}@{version} at {endpoint}", _deployment(status) | {"address": at} | told)


@click.command()
@click.argument("endpoint")
@click.argument("instances", metavar="[JSON|FILE|-]", default="-")
@click.option("--output", type=str, metavar="FILE", help="Score a .parquet or .jsonl FILE into this one, without HTTP.")
@session_options
def predict(session: Session, endpoint: str, instances: str, output: str | None) -> None:
    """Ask an endpoint for predictions.

    Instances are a JSON array, an object for a single one, a file with either or with a JSON object a line, or - for
    standard input.
    """
    if output is not None:
        session.platform.endpoints.predict_batch(endpoint, instances, output)
        session.record(f"predictions of {endpoint}", {"input": instances, "output": output})
        return
    asked = _instances(instances)
    predictions = session.platform.endpoints.predict(endpoint, asked)
    rows = [{"instance": number, "prediction": prediction} for number, prediction in enumerate(predictions)]
    session.table(f"Predictions of {endpoint}", ("instance", "prediction"), rows)


@click.group()
def endpoints() -> None:
    """List, inspect, shift and stop endpoints."""


@endpoints.command("list")
@session_options
def list_endpoints(session: Session) -> None:
    """List endpoints, whoever started them."""
    rows = [_endpoint(status) for status in session.platform.endpoints.list()]
    session.table("Endpoints", ("endpoint", "address", "traffic", "states"), rows)


@endpoints.command()
@click.argument("endpoint")
@session_options
def show(session: Session, endpoint: str) -> None:
    """Show an endpoint's deployments."""
    status = session.platform.endpoints.status(endpoint)
    rows = [_deployment(found) for found in status.deployments]
    session.table(f"{endpoint} at {status.address}", _DEPLOYMENT_COLUMNS, rows)


@endpoints.command()
@click.argument("endpoint")
@click.argument("shares", nargs=-1, required=True, metavar="DEPLOYMENT=PERCENT...")
@session_options
def shift(session: Session, endpoint: str, shares: Sequence[str]) -> None:
    """Split an endpoint's traffic: shift flights v1=90 v2=10."""
    status = session.platform.endpoints.shift_traffic(endpoint, _split(shares))
    session.record(f"traffic of {endpoint}", dict(status.traffic))


@endpoints.command()
@click.argument("endpoint")
@click.argument("deployment")
@click.option("--percent", type=int, required=True, help="Of the requests; 0 ends it.")
@session_options
def mirror(session: Session, endpoint: str, deployment: str, percent: int) -> None:
    """Send copies of an endpoint's requests to a deployment that has no traffic, where the provider can."""
    status = session.platform.endpoints.mirror_traffic(endpoint, deployment, percent=percent)
    session.record(f"copies of the traffic of {endpoint}", dict(status.mirror))


@endpoints.command()
@click.argument("endpoint")
@session_options
def rollback(session: Session, endpoint: str) -> None:
    """Go back to the split of traffic before the last change."""
    status = session.platform.endpoints.rollback(endpoint)
    session.record(f"traffic of {endpoint}", dict(status.traffic))


@endpoints.command()
@click.argument("endpoint")
@click.argument("deployment")
@click.option("--redistribute", is_flag=True, help="Let the others take its traffic.")
@session_options
def undeploy(session: Session, endpoint: str, deployment: str, redistribute: bool) -> None:
    """Stop a deployment after its requests in flight."""
    shortfall = Shortfall.REDISTRIBUTE if redistribute else Shortfall.REFUSE
    session.platform.endpoints.undeploy(endpoint, deployment, traffic=shortfall)
    session.record(f"{deployment} is gone from {endpoint}", {"endpoint": endpoint, "undeployed": deployment})


@endpoints.command()
@click.argument("endpoint")
@session_options
def delete(session: Session, endpoint: str) -> None:
    """Stop and remove an endpoint with all that is deployed there."""
    session.platform.endpoints.delete(endpoint)
    session.record(f"{endpoint} is gone", {"endpoint": endpoint, "deleted": True})


@endpoints.command()
@click.argument("endpoint")
@click.argument("deployment")
@session_options
def logs(session: Session, endpoint: str, deployment: str) -> None:
    """Print what a deployment's workers wrote; also one that failed."""
    text = session.platform.endpoints.logs(endpoint, deployment)
    if session.as_json:
        session.record("", {"endpoint": endpoint, "deployment": deployment, "log": text})
    else:
        click.echo(text)


def _version(session: Session, model: str, version: str) -> ModelVersion:
    from cloudmlops.domain.models import Stage

    if version in {stage.value for stage in Stage}:
        return session.platform.models.get(model, stage=version)
    return session.platform.models.get(model, version)


def _endpoint(status: EndpointStatus) -> dict[str, Any]:
    return {
        "endpoint": status.name,
        "address": status.address,
        "traffic": dict(status.traffic),
        "states": {found.name: found.state.value for found in status.deployments},
    }


def _deployment(status: DeploymentStatus) -> dict[str, Any]:
    return {
        "deployment": status.name,
        "model": status.model,
        "version": status.version,
        "state": status.state.value,
        "traffic_percent": status.traffic_percent,
        "healthy": f"{status.healthy_replicas} of {status.replicas}",
        "restarts": status.restarts,
        "machine": status.machine,
        "created": status.created_at,
    }


@contextmanager
def _waiting(session: Session, started: Deployment) -> Iterator[None]:
    if session.as_json or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{started.name} is starting …"):
        yield


def _instances(given: str) -> list[Any]:
    if given == "-":
        text, source = sys.stdin.read(), "standard input"
    elif given.lstrip()[:1] in ("[", "{"):
        text, source = given, "the instances"
    else:
        try:
            text, source = Path(given).read_text(encoding="utf-8"), given
        except OSError as error:
            raise InvalidRequestError(
                f"{given!r} is neither JSON nor a file: {error}",
                hint="Give instances such as '[{\"a\": 1.0}]', a file of them, or - for standard input.",
            ) from error
    try:
        return _as_list(json.loads(text))
    except json.JSONDecodeError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError:
            raise InvalidRequestError(f"{source} has no JSON in it: {error}") from error


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _split(shares: Sequence[str]) -> dict[str, int]:
    split, faults = {}, []
    for share in shares:
        name, _, percent = share.partition("=")
        if name and percent.isdigit():
            split[name] = int(percent)
        else:
            faults.append(f"{share!r} is not DEPLOYMENT=PERCENT, such as v1=90")
    if faults:
        raise InvalidTrafficError("the split of traffic is not understood", faults=faults)
    return split
