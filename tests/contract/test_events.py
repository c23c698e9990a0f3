from __future__ import annotations

from cloudmlops.testing.contract.events import EventsContract

from .rigs import OnAzureML, OnAzureMLWithNamespace, OnDisk, OnVertex, OnVertexOverRest, OnVertexWithTopic


class TestEventsOnLocal(EventsContract):
    pass


class TestEventsOnDisk(OnDisk, EventsContract):
    pass


class TestEventsOnVertex(OnVertex, EventsContract):
    pass


class TestEventsOnVertexWithTopic(OnVertexWithTopic, EventsContract):
    """What is published comes back by the subscription, and is one event all the same."""


class TestEventsOnVertexOverRest(OnVertexOverRest, EventsContract):
    pass


class TestEventsOnAzureML(OnAzureML, EventsContract):
    pass


class TestEventsOnAzureMLWithNamespace(OnAzureMLWithNamespace, EventsContract):
    """What is published comes back by the subscription, and is one event all the same."""
