"""Model versions as Vertex AI has them: what of ours goes into labels, aliases and fields, and back without loss.

Labels take lower case, digits, `_` and `-`, at most 63 characters a value and 64 a resource. A tag that fits is a label
of its own; any other is in the ledger and in the adapter's record beside it, and never cut.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from google.cloud.aiplatform_v1.types import Model, ModelContainerSpec, Port

from cloudmlops.domain.models import Stage
from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.ports.models import NewVersion, Projection

VERSION: Final = "cloudmlops-version"
REQUEST: Final = "cloudmlops-request"
STORE: Final = "cloudmlops-store"
STAMPED: Final = f"labels.{STORE}:*"
"""The filter that finds what carries a stamp."""
RUN: Final = "cloudmlops-run"
STAGE: Final = "stage"
STAGE_REVISION: Final = "stage_rev"
_HEAD: Final = "cloudmlops-head"
_HEAD_DIGEST: Final = "cloudmlops-head-digest"
_OURS: Final = frozenset({VERSION, REQUEST, STORE, RUN, STAGE, STAGE_REVISION, _HEAD, _HEAD_DIGEST})
ALIASES: Final[Mapping[Stage, str]] = {Stage.STAGING: "staging", Stage.PRODUCTION: "production"}
"""Stages that at most one version is in, as aliases that native tools address models by."""
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_LABELS: Final = 64
PREDICT_ROUTE: Final = "/predict"
HEALTH_ROUTE: Final = "/healthz"
_PORT: Final = 8080
_DESCRIPTION_LENGTH: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """A version's free tags, by where Vertex AI has them."""

    labels: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    """Those that are no labels."""


def split_tags(tags: Mapping[str, str]) -> Tags:
    """Say which tags can be labels; of too many, the first by name."""
    room = _MOST_LABELS - len(_OURS)
    fitting = [key for key in sorted(tags) if key not in _OURS and _KEY.fullmatch(key) and _VALUE.fullmatch(tags[key])][
        :room
    ]
    return Tags(
        labels={key: tags[key] for key in fitting},
        others={key: value for key, value in tags.items() if key not in fitting},
    )


def digest_label(text: str) -> str:
    """Return a digest of any text as a label's value."""
    return _lower32(hashlib.sha256(text.encode()).digest())


def uploaded(new: NewVersion, *, store: str, image: str, environment: Mapping[str, str], pipeline_job: str) -> Model:
    """Return the message that makes a version.

    Args:
        new: The version.
        store: Address of the object store that holds the ledger.
        image: Of the serving container.
        environment: Variables of the serving container.
        pipeline_job: Full name of the run that made it, or nothing.
    """
    labels = {
        VERSION: new.version,
        REQUEST: digest_label(new.request),
        STORE: digest_label(store),
        STAGE: Stage.NONE.value,
        STAGE_REVISION: "0",
    }
    run = new.registration.run
    if run is not None and _VALUE.fullmatch(run):
        labels[RUN] = run
    return Model(
        display_name=new.model,
        version_description=new.registration.card[:_DESCRIPTION_LENGTH],
        artifact_uri=new.registration.artifact_uri.rstrip("/"),
        labels=labels,
        pipeline_job=pipeline_job,
        container_spec=ModelContainerSpec(
            image_uri=image,
            predict_route=PREDICT_ROUTE,
            health_route=HEALTH_ROUTE,
            ports=[Port(container_port=_PORT)],
            env=[{"name": name, "value": value} for name, value in sorted(environment.items())],
        ),
    )


def filter_of(new: NewVersion) -> str:
    """Return the filter that finds a version by its request key; the same files by hand again are another version."""
    return f'labels.{REQUEST}="{digest_label(new.request)}" AND labels.{VERSION}="{new.version}"'


def native_name(shown: Model) -> str:
    """Return Vertex AI's own name of a version."""
    return f"{shown.name}@{shown.version_id}"


def labels_of(present: Mapping[str, str], shown: Projection, before: Tags) -> dict[str, str]:
    """Return a version's labels as they are to be: others' are kept, tags that are gone go.

    Args:
        present: Its labels now.
        shown: What is to be seen.
        before: The tags that were drawn last.
    """
    kept = {key: value for key, value in present.items() if key not in before.labels or key in _OURS}
    return (
        kept
        | dict(split_tags(shown.tags).labels)
        | {
            STAGE: shown.stage.value,
            STAGE_REVISION: str(shown.revision),
            _HEAD: str(shown.head),
            _HEAD_DIGEST: _shorter(shown.head_digest),
        }
    )


def alias_changes(present: Mapping[str, frozenset[str]], shown: Projection, native: str) -> list[str]:
    """Return what MergeVersionAliases is to be told of one version, `-` before what goes.

    Args:
        present: The aliases of each version now, by its native id.
        shown: What is to be seen of this one.
        native: Its native id.
    """
    wanted = ALIASES.get(shown.stage)
    has = present.get(native, frozenset())
    added = [wanted] if wanted is not None and wanted not in has else []
    return added + [f"-{alias}" for alias in sorted(ALIASES.values()) if alias in has and alias != wanted]


def projection(shown: Model, kept: Tags) -> Projection | None:
    """Read what is shown of a version; None for one that is not ours.

    Args:
        shown: The version.
        kept: The tags that were drawn last: what is a label is read there, so that a change by others is seen.
    """
    labels = dict(shown.labels)
    if VERSION not in labels:
        return None
    try:
        return Projection(
            version=labels[VERSION],
            stage=Stage(labels.get(STAGE, Stage.NONE)),
            revision=int(labels.get(STAGE_REVISION, "0")),
            tags={key: labels[key] for key in kept.labels if key in labels} | dict(kept.others),
            head=int(labels.get(_HEAD, "0")),
            head_digest=_longer(labels.get(_HEAD_DIGEST, "")),
        )
    except ValueError as error:
        raise UnexpectedReplyError(
            f"the labels of {native_name(shown)} are not what this library wrote: {error}",
            hint="`cloudmlops models repair` draws them again.",
            provider="vertex",
            resource=native_name(shown),
        ) from error


def _shorter(digest: str) -> str:
    """Write a hexadecimal SHA-256, which is one character too long, as a label's value."""
    return _lower32(bytes.fromhex(digest))


def _longer(value: str) -> str:
    padded = value.upper() + "=" * (-len(value) % 8)
    return base64.b32decode(padded).hex()


def _lower32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
