from __future__ import annotations

import uuid
from urllib.parse import urlencode

import httpx

from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.core.emulator import Emulator

LOCATION = "europe-west4"
GROUP = "contract"


def vertex_target(emulator: Emulator, **settings: str) -> str:
    """Make a project of one's own with a bucket at the emulator, and return the target of its platform."""
    return target_in_new_project(emulator.url, api_url=emulator.url, **settings)


def target_in_new_project(emulator_url: str, **settings: str) -> str:
    """Do the same at an emulator's address; whether the platform asks there or at Google's own is a setting."""
    name = f"p{uuid.uuid4().hex[:12]}"
    reply = httpx.post(
        f"{emulator_url}/storage/v1/b",
        params={"project": name},
        json={"name": f"{name}-bucket", "location": LOCATION},
        verify=False,
    )
    reply.raise_for_status()
    query = {"bucket": f"{name}-bucket", **settings}
    return f"vertex://{name}/{LOCATION}?{urlencode(query)}"


def azureml_target(emulator: Emulator, **settings: str) -> str:
    """Make a workspace of one's own at the emulator, and return the target of its platform."""
    name = f"w{uuid.uuid4().hex[:12]}"
    azure = emulator.cloud(AzureCloud)
    azure.ensure_environment("steps", "1", workspace=azure.ensure_workspace(name, group=GROUP))
    return azureml_target_of(name, **settings)


def azureml_target_of(workspace: str, **settings: str) -> str:
    """Return the target of a workspace's platform."""
    query = f"?{urlencode(settings)}" if settings else ""
    return f"azureml://{SUBSCRIPTION}/{GROUP}/{workspace}{query}"
