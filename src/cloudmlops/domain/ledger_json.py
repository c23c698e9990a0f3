"""Ledger entries and folds as JSON, the form in which they lie in the object store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.domain.ledger import (
    Approval,
    Entry,
    EntryKind,
    Evidence,
    Fold,
    Mark,
    Registration,
    VersionState,
)
from cloudmlops.domain.models import FeatureServiceRef, Stage
from cloudmlops.errors import UnexpectedReplyError

_FORMAT: Final = 1
_KINDS: Final = {kind.value: kind for kind in EntryKind}
_STAGES: Final = {stage.value: stage for stage in Stage}
_ACTORS: Final = {kind.value: kind for kind in ActorKind}
_PLAIN: Final = (
    "version", "reason", "policies", "expected", "rolled_back", "approved_stage", "request", "effect",
    "approvals", "tags", "untagged", "quarantined", "quarantined_digest",
)  # fmt: skip
"""Fields that are JSON as they are; one that says nothing is left out."""


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of an entry's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def entry_to_json(entry: Entry) -> bytes:
    """Write an entry."""
    body: dict[str, Any] = {
        "format": _FORMAT,
        "sequence": entry.sequence,
        "entry_id": entry.entry_id,
        "previous": entry.previous,
        "kind": entry.kind,
        "at": entry.at.isoformat(),
        "actor": {"id": entry.actor.id, "kind": entry.actor.kind},
    }
    for name in _PLAIN:
        value = getattr(entry, name)
        # An empty `expected` speaks: nothing was to be in production.
        if value or (name == "expected" and value is not None):
            body[name] = value
    if entry.changes:
        body["changes"] = entry.changes
    if entry.evidence is not None:
        body["evidence"] = _without_empty(
            metrics=entry.evidence.metrics,
            baseline=entry.evidence.baseline,
            run=entry.evidence.run,
            reports=entry.evidence.reports,
        )
    if entry.registration is not None:
        body["registration"] = _registration_to_json(entry.registration)
    return _dump(body)


def entry_from_json(data: bytes) -> Entry:
    """Read an entry; raise `UnexpectedReplyError` when it is truncated, empty or not an entry."""
    try:
        return _entry(json.loads(data), digest_of(data))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "is empty" if not data.strip() else f"is truncated or not an entry ({type(error).__name__}: {error})"
        raise UnexpectedReplyError(f"it {what}") from error


def fold_to_json(fold: Fold) -> bytes:
    """Write a fold, as a checkpoint keeps it."""
    return _dump(
        {
            "format": _FORMAT,
            "model": fold.model,
            "sequence": fold.sequence,
            "digest": fold.digest,
            "at": fold.at.isoformat() if fold.at else None,
            "versions": [_state_to_json(state) for state in fold.versions.values()],
            "production": fold.production,
            "production_since": _mark_to_json(fold.production_since),
            "displaced": fold.displaced,
            "requests": dict(fold.requests),
            "effects": dict(fold.effects),
        }
    )


def fold_from_json(data: bytes) -> Fold:
    """Read a fold; raise `UnexpectedReplyError` when it is damaged or of another format."""
    try:
        body = json.loads(data)
        if body["format"] != _FORMAT:
            raise ValueError(f"format {body['format']}")
        states = [_state(item) for item in body["versions"]]
        return Fold(
            model=body["model"],
            sequence=body["sequence"],
            digest=body["digest"],
            at=datetime.fromisoformat(body["at"]) if body["at"] else None,
            versions={state.version: state for state in states},
            production=body["production"],
            production_since=_mark(body["production_since"]),
            displaced=tuple(body["displaced"]),
            requests=body["requests"],
            effects=body["effects"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedReplyError(f"a checkpoint is damaged ({type(error).__name__}: {error})") from error


def _entry(body: dict[str, Any], digest: str) -> Entry:
    if body["format"] != _FORMAT:
        raise ValueError(f"format {body['format']!r} of a newer cloudmlops")
    read = body.get
    actor = body["actor"]
    evidence, registration, approved = read("evidence"), read("registration"), read("approved_stage")
    at = datetime.fromisoformat(body["at"])
    if at.tzinfo is None:
        raise ValueError(f"the time {body['at']} has no time zone")
    return Entry(
        sequence=body["sequence"],
        entry_id=body["entry_id"],
        previous=body["previous"],
        kind=_KINDS[body["kind"]],
        at=at,
        actor=Actor(id=actor["id"], kind=_ACTORS[actor["kind"]]),
        digest=digest,
        version=read("version"),
        changes=tuple([(version, _STAGES[start], _STAGES[end]) for version, start, end in read("changes", ())]),
        reason=read("reason", ""),
        evidence=None if evidence is None else _evidence(evidence),
        approvals=tuple(read("approvals", ())),
        policies=tuple(read("policies", ())),
        expected=read("expected"),
        rolled_back=read("rolled_back"),
        approved_stage=None if approved is None else _STAGES[approved],
        request=read("request"),
        effect=read("effect"),
        registration=None if registration is None else _registration(registration),
        tags=read("tags", {}),
        untagged=tuple(read("untagged", ())),
        quarantined=read("quarantined"),
        quarantined_digest=read("quarantined_digest", ""),
    )


def _evidence(body: dict[str, Any]) -> Evidence:
    return Evidence(
        metrics=body.get("metrics", {}),
        baseline=body.get("baseline", {}),
        run=body.get("run"),
        reports=tuple(body.get("reports", ())),
    )


def _registration_to_json(known: Registration) -> dict[str, Any]:
    features = known.features and {"name": known.features.name, "schema_hash": known.features.schema_hash}
    return _without_empty(
        artifact_uri=known.artifact_uri,
        manifest=known.manifest,
        native=known.native,
        run=known.run,
        metrics=known.metrics,
        tags=known.tags,
        features=features,
        signature=known.signature,
        card=known.card,
    )


def _registration(body: dict[str, Any]) -> Registration:
    features = body.get("features")
    return Registration(
        artifact_uri=body["artifact_uri"],
        manifest=body["manifest"],
        native=body.get("native", ""),
        run=body.get("run"),
        metrics=body.get("metrics", {}),
        tags=body.get("tags", {}),
        features=FeatureServiceRef(**features) if features else None,
        signature=body.get("signature", {}),
        card=body.get("card", ""),
    )


def _state_to_json(state: VersionState) -> dict[str, Any]:
    return _without_empty(
        version=state.version,
        request=state.request,
        reserved=_mark_to_json(state.reserved),
        registered=_mark_to_json(state.registered),
        registration=_registration_to_json(state.registration) if state.registration else None,
        stage=state.stage,
        moved=state.moved,
        tags=state.tags,
        approvals=[[item.sequence, item.actor.id, item.actor.kind, item.stage] for item in state.approvals],
        deleted=_mark_to_json(state.deleted),
    )


def _state(body: dict[str, Any]) -> VersionState:
    reserved = _mark(body["reserved"])
    if reserved is None:
        raise ValueError("a version without its reservation")
    registration = body.get("registration")
    return VersionState(
        version=body["version"],
        request=body.get("request", ""),
        reserved=reserved,
        registered=_mark(body.get("registered")),
        registration=_registration(registration) if registration else None,
        stage=_STAGES[body["stage"]],
        moved=body.get("moved", 0),
        tags=body.get("tags", {}),
        approvals=tuple(
            Approval(sequence=sequence, actor=Actor(id=who, kind=_ACTORS[kind]), stage=_STAGES[stage])
            for sequence, who, kind, stage in body.get("approvals", ())
        ),
        deleted=_mark(body.get("deleted")),
    )


def _mark_to_json(mark: Mark | None) -> list[Any] | None:
    if mark is None:
        return None
    return [mark.sequence, mark.actor.id, mark.actor.kind, mark.at.isoformat(), mark.reason]


def _mark(body: list[Any] | None) -> Mark | None:
    if body is None:
        return None
    sequence, who, kind, at, reason = body
    actor = Actor(id=who, kind=_ACTORS[kind])
    return Mark(sequence=sequence, actor=actor, at=datetime.fromisoformat(at), reason=reason)


def _without_empty(**values: object) -> dict[str, Any]:
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value not in (None, "", (), [], {})
    }


def _dump(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
