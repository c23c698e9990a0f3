"""The workspace that is measured, and the bare way to it."""

from __future__ import annotations

import os

import requests

ARM = "https://management.azure.com"
GROUP, NAME = "bench", "bench"
VERSION = "2023-08-01-preview"


def address() -> str:
    """The workspace's in Azure Resource Manager."""
    subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
    provider = "Microsoft.MachineLearningServices"
    return f"{ARM}/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/{provider}/workspaces/{NAME}"


def session(token: str) -> requests.Session:
    """Return what asks as somebody, over connections that are kept."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    session.params = {"api-version": VERSION}
    return session
