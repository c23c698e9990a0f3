"""Bringing a model version into being: reserved in the ledger, made at the provider, then said in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, SupportsFloat

from cloudmlops.domain import ledger_rules as rules
from cloudmlops.domain.artifacts import workspace
from cloudmlops.domain.ledger import Fold, Registration, Statement, model_version
from cloudmlops.domain.lineage import RunRef
from cloudmlops.domain.models import FeatureServiceRef, ModelVersion
from cloudmlops.domain.names import name_faults
from cloudmlops.errors import CloudMLOpsError
from cloudmlops.ports.models import NewVersion
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.effects import effect_key
from cloudmlops.services.registry import files as model_files
from cloudmlops.services.registry.code import code_faults, code_files
from cloudmlops.services.registry.files import ModelFiles
from cloudmlops.services.registry.ledger import Ledger
from cloudmlops.services.registry.projection import project
from cloudmlops.services.registry.requests import number_faults, refuse, said_faults, text_faults
from cloudmlops.services.registry.signatures import with_signature
from cloudmlops.storage.keys import key_faults

if TYPE_CHECKING:
    from cloudmlops.domain.features import FeatureService

_log: Final = logging.getLogger("cloudmlops.models")
FEATURES = "cloudmlops_features.json"
"""The feature service's definition, beside the model's own files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A checked request to register a version."""

    name: str
    files: ModelFiles
    registration: Registration
    """Without the addresses, which come with the version."""


def prepared(
    name: str,
    artifact: Path,
    *,
    run: str | None,
    metrics: Mapping[str, SupportsFloat],
    features: FeatureService | None,
    tags: Mapping[str, str],
    card: object,
    code: Sequence[Path | str],
    signature: object,
    request: str | None,
) -> Prepared:
    """Check all arguments of a registration and read the files; raise `InvalidRequestError` with all faults at once."""
    paths = [Path(path) for path in code]
    faults = [
        *name_faults("model", name),
        *model_files.artifact_faults(artifact),
        *number_faults("metric", metrics),
        *text_faults("tag", tags),
        *said_faults(card=card, run=run, request=request),
        *code_faults(features, paths),
    ]
    refuse(name, faults, hint="Save a model with mlflow.*.save_model(model, FOLDER) and register that folder.")
    additions = code_files(features, paths)
    refuse(
        name,
        [f"the file name {kept!r} cannot be kept: {fault}" for kept in additions for fault in key_faults(kept)],
        hint="Rename it.",
    )
    if signature is not None:
        additions[model_files.DESCRIPTION] = with_signature(artifact / model_files.DESCRIPTION, signature)
    if features is not None:
        from cloudmlops.domain.features import service_to_json  # here: most models load without feature definitions

        additions[FEATURES] = service_to_json(features).encode()
    files = model_files.model_files(artifact, additions)
    registration = Registration(
        artifact_uri="",
        manifest=files.digest,
        run=run,
        metrics={metric: float(value) for metric, value in metrics.items()},
        tags=dict(tags),
        features=FeatureServiceRef(name=features.name, schema_hash=features.schema_hash) if features else None,
        signature=files.signature,
        card=str(card),
    )
    return Prepared(name=name, files=files, registration=registration)


class Registrar:
    """Registers versions so that a retry never makes two."""

    def __init__(self, context: ServiceContext, ledger: Ledger) -> None:
        self._context = context
        self._ledger = ledger

    def register(self, new: Prepared, *, request: str | None) -> ModelVersion:
        """Register a version, or finish or find the one of the same request."""
        name, actor, backends = new.name, self._context.actor, self._context.backends
        key, effect = self._request_key(new, request)
        fold = self._ledger.append(name, actor, lambda fold: _reserving(fold, key, effect)).fold
        version = fold.requests[key]
        if fold.versions[version].registration is not None:
            return model_version(name, fold.versions[version])
        # Whatever part an earlier try has done is done again and changes nothing.
        prefix = model_files.place(name, version, new.files.digest)
        model_files.upload(backends.objects, prefix, new.files)
        known = replace(new.registration, artifact_uri=f"{backends.objects.uri}/{prefix}/")
        native = backends.models.create(NewVersion(model=name, version=version, request=key, registration=known))
        known = replace(known, native=native)
        fold = self._ledger.append(name, actor, lambda fold: rules.registering(fold, version, known)).fold
        self._tidy(name, version, fold)
        project(backends.models, self._ledger, fold, [version])
        return model_version(name, fold.versions[version])

    def _tidy(self, name: str, version: str, fold: Fold) -> None:
        """Remove the files of attempts at this version that were cut off, or came second."""
        objects, known = self._context.backends.objects, fold.versions[version].registration
        if known is None:
            return
        kept = f"{model_files.place(name, version, known.manifest)}/"
        try:
            for key in list(objects.list(f"{model_files.folder(name, version)}/")):
                if not key.startswith(kept):
                    objects.delete(key)
        except CloudMLOpsError as error:
            _log.warning("%s@%s is registered; files of another attempt are left over: %s", name, version, error)

    def _request_key(self, new: Prepared, request: str | None) -> tuple[str, str | None]:
        if request is not None:
            return f"caller:{request}", None
        if (effect := effect_key("register", new.name)) is not None:
            return f"effect:{effect}", effect
        run = self._context.run
        if run is not None and run.step:
            return f"step:{run.id}/{run.step}/{_place_in_step(run, new.name)}", None
        return f"content:{new.files.digest}/{self._context.actor.id}", None


_places: Final[dict[tuple[RunRef, str], tuple[Path | None, int]]] = {}
"""By step and model: in which attempt's folder, and how often, this process registered it. Not kept by a platform, for
a step may connect more than once."""
_counting: Final = Lock()


def _place_in_step(run: RunRef, name: str) -> int:
    """Count a step's registrations of a model from 1; another attempt in the same process begins anew."""
    with _counting:
        attempt, count = _places.get((run, name), (None, 0))
        current = workspace.get() or attempt  # a thread of the step does not see its folder
        count = count + 1 if current == attempt else 1
        _places[run, name] = (current, count)
        return count


def _reserving(fold: Fold, key: str, effect: str | None) -> Statement | None:
    state = fold.versions.get(fold.requests.get(key, ""))
    if state is None:
        return rules.reserving(fold, key, effect=effect)
    # By hand, the same files again are meant as a new version, unless the last try was cut off.
    by_hand = key.startswith("content:")
    if by_hand and (state.registration is not None or state.deleted is not None):
        return rules.reserving(fold, key, effect=effect)
    if state.deleted is not None:
        rules.live_version(fold, state.version)
    return None
