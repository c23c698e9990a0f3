"""Microsoft.EventGrid: topics that push, namespaces that are pulled from, and what Azure itself tells of."""

from __future__ import annotations

from typing import Final

PROVIDER: Final = "Microsoft.EventGrid"
GROUP: Final = "/subscriptions/{subscription}/resourceGroups/{group}"
TOPICS: Final = f"{GROUP}/providers/{PROVIDER}/topics"
TOPIC: Final = f"{TOPICS}/{{topic}}"
SYSTEM_TOPICS: Final = f"{GROUP}/providers/{PROVIDER}/systemTopics"
SYSTEM_TOPIC: Final = f"{SYSTEM_TOPICS}/{{topic}}"
NAMESPACES: Final = f"{GROUP}/providers/{PROVIDER}/namespaces"
NAMESPACE: Final = f"{NAMESPACES}/{{namespace}}"
EVENT_GRID_SCHEMA: Final = "EventGridSchema"
CLOUD_EVENT_SCHEMA: Final = "CloudEventSchemaV1_0"
DOMAIN: Final = "eventgrid.azure.net"
AUDIENCE: Final = "https://eventgrid.azure.net"
