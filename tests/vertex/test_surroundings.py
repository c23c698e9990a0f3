"""What the settings name is looked at before anything runs: there or not, and fit for what it is named for."""

from __future__ import annotations

import httpx

from cloudmlops import Platform
from cloudmlops.domain.surroundings import Named
from cloudmlops.emulators.core.emulator import Emulator

from .conftest import LOCATION, Opened


def looked_at(opened: Opened, **settings: str) -> dict[str, Named]:
    return {one.setting: one for one in Platform(opened(**settings)).check_settings()}


def make(emulator: Emulator, project: str, **subscription: object) -> None:
    """Make the topic `events` and its subscription `mine`."""
    topic = f"projects/{project}/topics/events"
    httpx.put(f"{emulator.url}/v1/{topic}", json={}).raise_for_status()
    url = f"{emulator.url}/v1/projects/{project}/subscriptions/mine"
    httpx.put(url, json={"topic": topic, **subscription}).raise_for_status()


def test_the_bucket_is_found(opened: Opened, project: str) -> None:
    assert looked_at(opened) == {
        "bucket": Named(setting="bucket", name=f"{project}-bucket", found=f"a bucket that {LOCATION} can use")
    }


def test_all_that_is_named_and_not_there_is_told(opened: Opened) -> None:
    found = looked_at(opened, bucket="nobodys-bucket", topic="nobodys", subscription="nobodys")

    assert found.keys() == {"bucket", "topic", "subscription"}
    assert all(one.fault == "it is not there" for one in found.values())
    assert "gcloud storage buckets create gs://nobodys-bucket" in found["bucket"].fix


def test_a_bucket_in_another_region_is_told(opened: Opened, vertex_emulator: Emulator, project: str) -> None:
    elsewhere = {"name": f"{project}-elsewhere", "location": "us-central1"}
    httpx.post(f"{vertex_emulator.url}/storage/v1/b", params={"project": project}, json=elsewhere).raise_for_status()

    assert "is in us-central1" in looked_at(opened, bucket=f"{project}-elsewhere")["bucket"].fault


def test_topic_and_subscription_are_found(opened: Opened, vertex_emulator: Emulator, project: str) -> None:
    make(vertex_emulator, project)

    found = looked_at(opened, topic="events", subscription="mine")

    assert not found["topic"].fault
    assert found["subscription"].found == (
        f"a subscription of projects/{project}/topics/events, which has no dead letter topic"
    )


def test_a_subscription_that_pushes_cannot_be_pulled_from(
    opened: Opened, vertex_emulator: Emulator, project: str
) -> None:
    make(vertex_emulator, project, pushConfig={"pushEndpoint": "http://127.0.0.1:9/events"})

    assert "it pushes them" in looked_at(opened, topic="events", subscription="mine")["subscription"].fault
