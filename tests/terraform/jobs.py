"""What each job of a project does, as verbs of the library: which rights its identity needs follows from it.

The modules `identity` of both clouds make an identity a job. A verb that no job lists is one of people, who have roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LOOKS_AT_MODELS: Final = (
    "models.at",
    "models.download",
    "models.get",
    "models.history",
    "models.list",
    "models.names",
)
_READS_FEATURES: Final = ("features.get", "features.list", "features.online", "features.reader", "features.view")
_FOLLOWS_RUNS: Final = ("pipelines.get", "pipelines.list", "pipelines.logs", "pipelines.wait")

JOBS: Final[Mapping[str, frozenset[str]]] = {
    # A step of a run: makes features and training tables, registers what it trained, has files scored, and begins with
    # what earlier runs have left.
    "train": frozenset(
        {
            *_LOOKS_AT_MODELS,
            *_READS_FEATURES,
            "endpoints.predict_batch",
            "events.publish",
            "features.apply",
            "features.materialize",
            "features.push",
            "features.skew",
            "features.training_table",
            "features.write_table",
            "models.register",
            "models.tag",
            "models.untag",
            "pipelines.get",
            "pipelines.list",
        }
    ),
    # The server behind an endpoint: looks features up.
    "serve": frozenset({*_READS_FEATURES}),
    # Continuous integration: applies what is defined, starts runs, moves models to stages and onto endpoints. Its gate
    # runs the server of a version, which looks features up.
    "deploy": frozenset(
        {
            *_LOOKS_AT_MODELS,
            *_READS_FEATURES,
            *_FOLLOWS_RUNS,
            "endpoints.delete",
            "endpoints.deploy",
            "endpoints.list",
            "endpoints.logs",
            "endpoints.mirror_traffic",
            "endpoints.predict",
            "endpoints.predict_batch",
            "endpoints.rollback",
            "endpoints.shift_traffic",
            "endpoints.status",
            "endpoints.undeploy",
            "events.dead_letters",
            "events.list",
            "features.apply",
            "models.promote",
            "models.repair",
            "models.rollback",
            "models.verify",
            "pipelines.cancel",
            "pipelines.plan",
            "pipelines.resume",
            "pipelines.run",
            "pipelines.schedule",
            "pipelines.schedules",
            "pipelines.unschedule",
        }
    ),
    # Who handles events: retrains, and moves what passed its gate to a stage.
    "events": frozenset(
        {
            *_LOOKS_AT_MODELS,
            *_FOLLOWS_RUNS,
            "events.dead_letters",
            "events.list",
            "events.process",
            "events.publish",
            "events.replay",
            "events.retry",
            "events.run",
            "models.promote",
            "models.rollback",
            "pipelines.run",
        }
    ),
}

OF_PEOPLE: Final = frozenset({"models.approve", "models.delete"})
"""No identity of a machine may do these for its job."""
