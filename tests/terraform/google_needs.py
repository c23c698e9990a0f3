"""What each job needs on Google Cloud, by what it is asked of: from the library's own data, and from Google's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from tests.terraform.jobs import JOBS

from cloudmlops.providers.vertex.mapping.access import Scope, permissions_of
from cloudmlops.providers.vertex.settings import VertexSettings

SETTINGS: Final = VertexSettings(
    project="my-project",
    location="europe-west4",
    bucket="my-bucket",
    service_account="train@my-project.iam.gserviceaccount.com",
    subscription="worker",
    topic="events",
)
ACTED_AS: Final[Mapping[str, frozenset[str]]] = {
    "serve": frozenset({"endpoints.deploy", "endpoints.predict_batch"}),
    "train": frozenset({"pipelines.resume", "pipelines.run", "pipelines.schedule"}),
}
"""The accounts that others act as, and by which verbs: servers and runs have one each."""
MORE: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "train": {
        "project": {
            "aiplatform.metadataStores.get": (
                "the account of a run needs it for the run to begin: cloud.google.com/vertex-ai/docs/tabular-data/"
                "tabular-workflows/service-accounts, as stored on 2026-11-21"
            ),
        }
    },
}
"""What no verb needs by itself: by job, by what it is asked of, each permission with the reason."""
PREDEFINED: Final[Mapping[str, frozenset[str]]] = {
    "roles/eventarc.eventReceiver": frozenset(
        {"eventarc.events.receiveAuditLogWritten", "eventarc.events.receiveEvent"}
    ),
    "roles/run.invoker": frozenset({"run.jobs.run", "run.routes.invoke"}),
}
"""The roles of Google's that the modules give to a job, and what is in them, as of 2026-11-21.

A trigger's account must have these two by Google's own guide (cloud.google.com/eventarc/docs/roles-permissions).
"""

Needs = Mapping[str, frozenset[str]]


def needs(job: str) -> Needs:
    """Return the permissions that a job needs, by what they are asked of."""
    known = permissions_of(SETTINGS)
    found: dict[str, set[str]] = defaultdict(set)
    for verb in JOBS[job]:
        for one in known.get(verb, ()):  # Vertex AI mirrors no traffic: nobody needs a right to be told so
            if one.scope != Scope.ACCOUNT:
                found[one.scope].add(one.name)
                continue
            for account, verbs in ACTED_AS.items():
                if verb in verbs:
                    found[f"account of {account}"].add(one.name)
    for place, permissions in MORE.get(job, {}).items():
        found[place] |= permissions.keys()
    return {place: frozenset(names) for place, names in found.items()}
