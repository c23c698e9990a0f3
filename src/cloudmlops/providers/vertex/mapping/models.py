"""Model versions as Vertex AI has them: what of ours goes into labels, aliases and fields, and back without loss.

Labels take lower case, digits, `_` and `-`, at most 63 characters a value and 64 a resource. A tag that fits is a label
of its own; any other is in the ledger and in the adapter's record beside it, and never cut.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.cloud.aiplatform_v1.types import Model, ModelContainerSpec, Port

from cloudmlops.domain.models import Stage
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
"""Stages as aliases that native tools address models by: each is on the version that entered the stage last."""
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


def split_tags(tags: Mapping[str, str], *, others: int = 0) -> Tags:
    """Say which tags can be labels beside a number of others' labels; of too many, the first by name."""
    room = max(0, _MOST_LABELS - len(_OURS) - others)
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
        _HEAD: "0",  # keeps the room that drawing it needs
        _HEAD_DIGEST: "",
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


def filter_of(new: NewVersion, *, store: str) -> str:
    """Return the filter that finds a version by its request key; the same files by hand again are another version."""
    wanted = {REQUEST: digest_label(new.request), VERSION: new.version, STORE: digest_label(store)}
    return " AND ".join(f'labels.{key}="{value}"' for key, value in wanted.items())


def native_name(shown: Model) -> str:
    """Return Vertex AI's own name of a version."""
    return f"{shown.name}@{shown.version_id}"


def drawn_tags(present: Mapping[str, str], tags: Mapping[str, str], before: Tags) -> Tags:
    """Say which tags can be labels of a version that has others' labels, too.

    Args:
        present: Its labels now.
        tags: What is to be seen.
        before: The tags that were drawn last.
    """
    others = [key for key in present if key not in _OURS and key not in before.labels and key not in tags]
    return split_tags(tags, others=len(others))


def labels_of(
    present: Mapping[str, str], shown: Projection, *, before: Tags, after: Tags, store: str
) -> dict[str, str]:
    """Return a version's labels as they are to be: others' are kept, tags that are gone go.

    Args:
        present: Its labels now.
        shown: What is to be seen.
        before: The tags that were drawn last.
        after: Those to draw now.
        store: Address of the object store that holds the ledger.
    """
    kept = {key: value for key, value in present.items() if key not in before.labels or key in _OURS}
    needed = (
        kept
        | dict(after.labels)
        | {
            VERSION: shown.version,
            STORE: digest_label(store),
            STAGE: shown.stage.value,
            STAGE_REVISION: str(shown.revision),
        }
    )
    labels = needed | {_HEAD: str(shown.head), _HEAD_DIGEST: _shorter(shown.head_digest)}
    return labels if len(labels) <= _MOST_LABELS else needed


def foreign_labels(present: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a version without all that says that it is ours."""
    return {key: value for key, value in present.items() if key not in _OURS}


def of_ledger(versions: Iterable[Model]) -> dict[str, Model]:
    """Return the versions that are ours by the ledger's number; of several that say the same one, the earliest."""
    found: dict[str, Model] = {}
    for version in sorted(versions, key=lambda known: int(known.version_id)):
        if VERSION in version.labels:
            found.setdefault(version.labels[VERSION], version)
    return found


def alias_changes(versions: Sequence[Model], drawn: Mapping[str, Projection]) -> dict[str, list[str]]:
    """Return what MergeVersionAliases is to be told of each version by its native name, `-` before what goes.

    Args:
        versions: All versions of a model.
        drawn: What is to be seen of some of them, by native id; the labels of ours say it of the others.
    """
    changes: dict[str, list[str]] = {}
    for stage, alias in ALIASES.items():
        wanted, holder = _in_stage(versions, stage, drawn), _holder(versions, alias)
        if wanted is not None and wanted is not holder:
            changes.setdefault(native_name(wanted), []).append(alias)  # which takes it from any other
        elif wanted is None and holder is not None:
            changes.setdefault(native_name(holder), []).append(f"-{alias}")
    return changes


def faults_of(versions: Sequence[Model]) -> dict[str, list[str]]:
    """Say what is wrong with a model's versions beside their labels, by the ledger's number.

    An alias that is on a version that is not ours, though none of ours is to have it, counts as the first one's fault.
    """
    ours = of_ledger(versions)
    faults: dict[str, list[str]] = {number: [] for number in ours}
    for version in versions:
        number = version.labels.get(VERSION)
        if number is not None and version is not ours[number]:
            faults[number].append(f"{native_name(version)} says that it is the same version")
    for stage, alias in ALIASES.items():
        wanted, holder = _in_stage(versions, stage, {}), _holder(versions, alias)
        if wanted is not holder and ours:
            where = native_name(holder) if holder is not None else "no version"
            blamed = next((number for number, version in ours.items() if version is (wanted or holder)), min(ours))
            faults[blamed].append(f"the alias {alias!r} is on {where}")
    return faults


def _in_stage(versions: Sequence[Model], stage: Stage, drawn: Mapping[str, Projection]) -> Model | None:
    """Find the version of ours that entered a stage last."""
    entered = {}
    for version in of_ledger(versions).values():
        if version.version_id not in drawn and version.labels.get(STAGE) == stage.value:
            revision = version.labels.get(STAGE_REVISION, "")
            entered[version.version_id] = int(revision) if revision.isdecimal() else 0
    entered |= {native: wanted.revision for native, wanted in drawn.items() if wanted.stage is stage}
    last = max(entered, key=entered.__getitem__, default=None)
    return next((version for version in versions if version.version_id == last), None)


def _holder(versions: Sequence[Model], alias: str) -> Model | None:
    return next((version for version in versions if alias in version.version_aliases), None)


def projection(shown: Model, kept: Tags, faults: Sequence[str] = ()) -> Projection:
    """Read what is shown of a version of ours; labels that cannot be read are a fault of it.

    Args:
        shown: The version.
        kept: The tags that were drawn last: what is a label is read there, so that a change by others is seen.
        faults: What else is wrong with it.
    """
    labels = dict(shown.labels)
    tags = {key: labels[key] for key in kept.labels if key in labels} | dict(kept.others)
    try:
        return Projection(
            version=labels[VERSION],
            stage=Stage(labels.get(STAGE, Stage.NONE)),
            revision=int(labels.get(STAGE_REVISION, "0")),
            tags=tags,
            head=int(labels.get(_HEAD, "0")),
            head_digest=_longer(labels.get(_HEAD_DIGEST, "")),
            native=native_name(shown),
            faults=tuple(faults),
        )
    except ValueError as error:
        return Projection(
            version=labels[VERSION],
            stage=Stage.NONE,
            revision=0,
            tags=tags,
            native=native_name(shown),
            faults=(f"the labels of {native_name(shown)} are not what this library wrote: {error}", *faults),
        )


def _shorter(digest: str) -> str:
    """Write a hexadecimal SHA-256, which is one character too long, as a label's value."""
    return _lower32(bytes.fromhex(digest))


def _longer(value: str) -> str:
    padded = value.upper() + "=" * (-len(value) % 8)
    return base64.b32decode(padded).hex()


def _lower32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
