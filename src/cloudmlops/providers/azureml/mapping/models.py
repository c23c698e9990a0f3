"""Model versions as Azure ML has them: what of ours goes into properties, tags and the stage, and back without loss.

What a version is made with stands in its properties, what changes in its tags. There are 50 of each at most, keys have
100 and values 1000 characters (learn.microsoft.com, "Service limits in Azure Machine Learning", which gives them for
runs). A tag that fits is a tag there; any other is in the ledger and in the adapter's record beside it, and never cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.models import Stage
from cloudmlops.ports.models import NewVersion, Projection

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

VERSION: Final = "cloudmlops-version"
REQUEST: Final = "cloudmlops-request"
STORE: Final = "cloudmlops-store"
NATIVE: Final = "cloudmlops-native"
"""The version's own id in Azure: who copies the properties to another version does not make that ours."""
RUN: Final = "cloudmlops-run"
DIGEST: Final = "cloudmlops-digest"
DELETED: Final = "cloudmlops-deleted"
STAGE: Final = "stage"
STAGE_REVISION: Final = "stage_rev"
_HEAD: Final = "cloudmlops-head"
_HEAD_DIGEST: Final = "cloudmlops-head-digest"
_OURS: Final = frozenset({STAGE, STAGE_REVISION, _HEAD, _HEAD_DIGEST})
NATIVE_STAGES: Final[Mapping[Stage, str]] = {
    Stage.NONE: "Development",
    Stage.CANDIDATE: "Development",
    Stage.STAGING: "Staging",
    Stage.PRODUCTION: "Production",
    Stage.ARCHIVED: "Archived",
}
"""The field that Azure's studio shows; it takes any text, and `Development` is its default."""
MLFLOW: Final = "mlflow_model"
_MOST_TAGS: Final = 50
_LONGEST_KEY: Final = 100
_LONGEST_VALUE: Final = 1000
_DESCRIPTION_LENGTH: Final = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """A version's free tags, by where Azure has them."""

    native: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    """Those that are no tags there."""


def split_tags(tags: Mapping[str, str], *, others: int = 0) -> Tags:
    """Say which tags can be Azure's beside a number of others'; of too many, the first by name."""
    room = max(0, _MOST_TAGS - len(_OURS) - others)
    fitting = [key for key in sorted(tags) if _fits(key, tags[key])][:room]
    return Tags(
        native={key: tags[key] for key in fitting},
        others={key: value for key, value in tags.items() if key not in fitting},
    )


def identifiers(new: NewVersion) -> Sequence[str]:
    """Return what a version may be called in Azure: the ledger's number; another name, if somebody else took that."""
    digest = hashlib.sha256(f"{new.request}/{new.registration.artifact_uri}".encode()).hexdigest()
    return new.version, f"{new.version}-{digest[:8]}"


def is_called(identifier: str, version: str) -> bool:
    """Say whether a version with the ledger's number may be called so in Azure."""
    return identifier == version or identifier.startswith(f"{version}-")


def registered(new: NewVersion, *, identifier: str, path: str, store: str) -> dict[str, Any]:
    """Return what `azure.ai.ml.entities.Model` is made with for a new version.

    Args:
        new: The version.
        identifier: What it is called in Azure.
        path: Azure's own address of its files.
        store: Address of the object store that holds the ledger.
    """
    run = new.registration.run
    return {
        "name": new.model,
        "version": identifier,
        "type": MLFLOW,
        "path": path,
        "description": new.registration.card[:_DESCRIPTION_LENGTH],
        "stage": NATIVE_STAGES[Stage.NONE],
        "tags": {STAGE: Stage.NONE.value, STAGE_REVISION: "0"},
        "properties": {
            VERSION: new.version,
            REQUEST: new.request,
            STORE: store,
            NATIVE: identifier,
            DIGEST: new.registration.manifest,
            **({RUN: run} if run else {}),
        },
    }


def drawn_tags(present: Mapping[str, str], tags: Mapping[str, str], before: Tags) -> Tags:
    """Say which tags can be Azure's on a version that has others' tags, too.

    Args:
        present: Its tags now.
        tags: What is to be seen.
        before: The tags that were drawn last.
    """
    others = [key for key in present if key not in _OURS and key not in before.native and key not in tags]
    return split_tags(tags, others=len(others))


def draw(present: Model, shown: Projection, *, before: Tags, after: Tags, store: str) -> None:
    """Change a version into what is to be seen: others' tags and properties are kept, tags that are gone go.

    Args:
        present: The version as it is now.
        shown: What is to be seen.
        before: The tags that were drawn last.
        after: Those to draw now.
        store: Address of the object store that holds the ledger.
    """
    kept = {key: value for key, value in tags_of(present).items() if key not in before.native or key in _OURS}
    present.tags = kept | dict(after.native) | _own_tags(shown)
    present.properties = properties_of(present) | _own_properties(present, shown, store)
    present.stage = NATIVE_STAGES[shown.stage]


def is_drawn(present: Model, shown: Projection, *, before: Tags, after: Tags, store: str) -> bool:
    """Say whether a version shows what is to be seen; the arguments are those of `draw`."""
    gone = before.native.keys() - after.native.keys() - _OURS
    wanted = dict(after.native) | _own_tags(shown)
    return (
        wanted.items() <= tags_of(present).items()
        and not gone & tags_of(present).keys()
        and _own_properties(present, shown, store).items() <= properties_of(present).items()
        and present.stage == NATIVE_STAGES[shown.stage]
    )


def is_newer(present: Model, shown: Projection) -> bool:
    """Say whether a version shows a later end of the ledger than is to be drawn: its drawer saw more."""
    head = tags_of(present).get(_HEAD, "")
    return shown.head > 0 and head.isdecimal() and int(head) > shown.head


def is_of_request(version: Model, new: NewVersion, store: str) -> bool:
    """Say whether a version was made by this request; the same files by hand again are another version."""
    wanted = {REQUEST: new.request, VERSION: new.version, STORE: store}
    return _is_ours(version) and wanted.items() <= properties_of(version).items()


def of_ledger(versions: Iterable[Model]) -> dict[str, Model]:
    """Return the versions that are ours and not deleted, by the ledger's number."""
    found: dict[str, Model] = {}
    for version in in_order(versions):
        if _is_ours(version):
            found.setdefault(properties_of(version)[VERSION], version)
    return found


def in_order(versions: Iterable[Model]) -> list[Model]:
    """Return versions, the earliest first."""
    return sorted(versions, key=lambda version: (_made_at(version), str(version.version)))


def stamps(versions: Iterable[Model]) -> Iterator[str]:
    """Yield the addresses of stores that are stamped on versions."""
    for version in versions:
        properties = properties_of(version)
        if STORE in properties and DELETED not in properties:
            yield properties[STORE]


def is_version(version: Model, number: str) -> bool:
    """Say whether a version was made by this library as the ledger's `number`, also if it was deleted since."""
    properties = properties_of(version)
    return properties.get(VERSION) == number and properties.get(NATIVE) == version.version


def ledger_version(properties: Mapping[str, str], identifier: str, store: str) -> str | None:
    """Return the ledger's number of a version by what it was made with; None for one that no ledger of ours knows.

    Args:
        properties: Of the version.
        identifier: What it is called in Azure.
        store: Address of the object store that holds our ledger.
    """
    ours = properties.get(NATIVE) == identifier and properties.get(STORE) == store
    return properties.get(VERSION) if ours else None


def tags_of(version: Model) -> dict[str, str]:
    """Return a version's tags."""
    return dict(version.tags or {})


def properties_of(version: Model) -> dict[str, str]:
    """Return a version's properties."""
    return dict(version.properties or {})


def native_name(version: Model) -> str:
    """Return Azure's own name of a version: its resource id."""
    return str(version.id)


def identifier_of(native: str) -> str:
    """Return what a version is called in Azure by its resource id; empty when that is none of a version."""
    before, slash, identifier = native.rpartition("/versions/")
    return identifier if slash and "/models/" in before else ""


def projection(version: Model, kept: Tags, *, store: str, archived: bool) -> Projection:
    """Read what is shown of a version of ours; tags that cannot be read are a fault of it.

    Args:
        version: It.
        kept: The tags that were drawn last: what is a tag is read there, so that a change by others is seen.
        store: Address of the object store that holds the ledger.
        archived: Whether Azure's tools hide it.
    """
    shown = tags_of(version)
    number = properties_of(version)[VERSION]
    tags = {key: shown[key] for key in kept.native if key in shown} | dict(kept.others)
    try:
        stage = Stage(shown.get(STAGE, Stage.NONE))
        return Projection(
            version=number,
            stage=stage,
            revision=int(shown.get(STAGE_REVISION, "0")),
            tags=tags,
            head=int(shown.get(_HEAD, "0")),
            head_digest=shown.get(_HEAD_DIGEST, ""),
            native=native_name(version),
            faults=tuple(_faults(version, stage, store, archived=archived)),
        )
    except ValueError as error:
        return Projection(
            version=number,
            stage=Stage.NONE,
            revision=0,
            tags=tags,
            native=native_name(version),
            faults=(f"the tags of {native_name(version)} are not what this library wrote: {error}",),
        )


def _faults(version: Model, stage: Stage, store: str, *, archived: bool) -> Iterator[str]:
    if version.stage != (wanted := NATIVE_STAGES[stage]):
        yield f"its stage in Azure ML is {version.stage!r}, not {wanted!r}"
    if (stamped := properties_of(version).get(STORE)) != store:
        yield f"it says that its ledger lies in {stamped}, not in {store}"
    if archived:
        yield "it is archived in Azure ML, whose tools hide it"


def _fits(key: str, value: str) -> bool:
    return key not in _OURS and 0 < len(key) <= _LONGEST_KEY and len(value) <= _LONGEST_VALUE


def _is_ours(version: Model) -> bool:
    properties = properties_of(version)
    return VERSION in properties and properties.get(NATIVE) == version.version and DELETED not in properties


def _made_at(version: Model) -> str:
    context = version.creation_context
    return context.created_at.isoformat() if context is not None and context.created_at is not None else ""


def _own_tags(shown: Projection) -> dict[str, str]:
    return {
        STAGE: shown.stage.value,
        STAGE_REVISION: str(shown.revision),
        _HEAD: str(shown.head),
        _HEAD_DIGEST: shown.head_digest,
    }


def _own_properties(present: Model, shown: Projection, store: str) -> dict[str, str]:
    return {VERSION: shown.version, STORE: store, NATIVE: str(present.version)}
