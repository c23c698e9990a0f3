"""How Azure writes the names that settings hold: what is malformed is told before anything is asked."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from cloudmlops.domain.addresses import redacted
from cloudmlops.providers.formats import looking


def on_this_machine(url: str) -> bool:
    """Say whether an address is of this machine alone."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _redis_url(given: str) -> str:
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 reading it checks it
    except ValueError:
        parts = urlsplit("")
    if "@" in given:
        raise ValueError("an address of Redis holds no credentials: tokens of Entra are used, of Azure's own chain")
    if (
        parts.scheme not in ("redis", "rediss")
        or not parts.hostname
        or not (parts.path.strip("/").isdecimal() or parts.path in ("", "/"))
        or "?" in given
        or "#" in given
    ):
        raise ValueError(f"{redacted(given)!r} is not an address such as rediss://flights.redis.cache.windows.net:6380")
    return given.rstrip("/")


Subscription = Annotated[
    str, looking(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "the id of a subscription, a UUID")
]
Group = Annotated[str, looking(r"[\w.()-]{0,89}[\w()-]", "the name of a resource group")]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
"""`rediss://HOST[:PORT][/DATABASE]` with TLS, `redis://` without."""
Workspace = Annotated[
    str,
    looking(
        r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}", "the name of a workspace: 3 to 33 letters, digits, hyphens, underscores"
    ),
]
Datastore = Annotated[str, looking(r"[A-Za-z0-9_]{0,255}", "the name of a datastore: letters, digits and underscores")]
Environment = Annotated[
    str,
    looking(
        r"(?:azureml:[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+|@latest)|azureml://[^\s]+)?",
        "an environment such as azureml:flights:3",
    ),
]
Compute = Annotated[
    str, looking(r"(?:[A-Za-z][A-Za-z0-9-]{1,31})?", "the name of a compute: letters, digits and hyphens")
]
Topic = Annotated[
    str,
    looking(
        r"(?:https://[A-Za-z0-9.-]+(?::[0-9]+)?/topics/[A-Za-z0-9][A-Za-z0-9-]{1,48}[A-Za-z0-9])?",
        "the address of a topic in an Event Grid namespace, such as "
        "https://my-namespace.westeurope-1.eventgrid.azure.net/topics/mlops",
    ),
]
EventSubscription = Annotated[
    str,
    looking(
        r"(?:[A-Za-z0-9][A-Za-z0-9-]{1,48}[A-Za-z0-9])?",
        "the name of an event subscription: 3 to 50 letters, digits and hyphens",
    ),
]
Tenant = Annotated[
    str, looking(r"(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?", "the id of a tenant of Entra, a UUID")
]
Application = Annotated[
    str, looking(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "the id of an application in Entra, a UUID")
]
Origins = Annotated[
    str,
    looking(r"[A-Za-z0-9.-]+(?:,[A-Za-z0-9.-]+)*", "names of hosts such as eventgrid.azure.net, with commas between"),
]
ContainerImage = Annotated[
    str, looking(r"(?:[a-z0-9.:-]+/)?[a-z0-9._/-]*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?", "a container image")
]
Identity = Annotated[
    str,
    looking(
        r"(?i:(?:/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]+/providers/Microsoft\.ManagedIdentity"
        r"/userAssignedIdentities/[A-Za-z0-9][A-Za-z0-9_-]{2,127})?)",
        "the resource id of a user-assigned managed identity: "
        "/subscriptions/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME",
    ),
]
ComputeMachine = Annotated[
    str, looking(r"(?:[A-Za-z][A-Za-z0-9_]{2,63})?", "a size of machines such as Standard_DS3_v2")
]
Machine = Annotated[str, looking(r"[A-Za-z][A-Za-z0-9_]{2,63}", "a size of machines such as Standard_DS3_v2")]
Names = Annotated[
    str,
    looking(
        r"(?:[A-Za-z][A-Za-z0-9_-]{1,63}(?:,[A-Za-z][A-Za-z0-9_-]{1,63})*)?",
        "names such as Standard_ND96isr_H200_v5, with commas between",
    ),
]
SparkInstance = Annotated[
    str,
    looking(r"(?i:standard_e(?:4|8|16|32|64)s_v3)", "a size of machines that Spark jobs have, such as standard_e8s_v3"),
]
SparkRuntime = Annotated[str, looking(r"[0-9]+\.[0-9]+", "a version of Spark such as 3.5")]
