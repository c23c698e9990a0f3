"""How Azure writes the names that settings hold: what is malformed is told before anything is asked."""

from __future__ import annotations

from typing import Annotated

from cloudmlops.providers.formats import looking

Subscription = Annotated[
    str, looking(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "the id of a subscription, a UUID")
]
Group = Annotated[str, looking(r"[\w.()-]{0,89}[\w()-]", "the name of a resource group")]
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
