"""The model registry: what a user does with model versions, the same on every provider."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, SupportsFloat

from cloudmlops.domain import ledger_rules as rules
from cloudmlops.domain.access import Role
from cloudmlops.domain.capabilities import Capability
from cloudmlops.domain.ledger import (
    Entry,
    Evidence,
    Fold,
    Folding,
    Statement,
    VersionState,
    model_version,
)
from cloudmlops.domain.models import ModelVersion, Stage, stage_named
from cloudmlops.domain.names import name_faults
from cloudmlops.domain.policies import Policies, roles_asked
from cloudmlops.errors import (
    CloudMLOpsError,
    ConfigurationError,
    InvalidMoveError,
    InvalidRequestError,
    NotFoundError,
    UnexpectedReplyError,
)
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.delivery.outbox import Outbox
from cloudmlops.services.effects import effect_key
from cloudmlops.services.registry import files as model_files
from cloudmlops.services.registry import health as ledger_health
from cloudmlops.services.registry.health import Verification
from cloudmlops.services.registry.ledger import Ledger, Plan
from cloudmlops.services.registry.projection import project
from cloudmlops.services.registry.registering import Registrar, prepared
from cloudmlops.services.registry.requests import checked_evidence, refuse, run_id, said_faults, text_faults
from cloudmlops.services.telemetry import span

if TYPE_CHECKING:
    from os import PathLike

    from cloudmlops.domain.features import FeatureService

History = list[Entry]
"""A model's entries, the first one first."""
_log: Final = logging.getLogger("cloudmlops.models")


class Models:
    """Model versions and the ledger of their stages."""

    def __init__(self, context: ServiceContext, *, policies: Policies | None = None) -> None:
        self._context = context
        self._policies = policies or {}
        self._stamped: set[str] = set()
        self._read_before: set[str] = set()

    @cached_property
    def ledger(self) -> Ledger:
        """The entries themselves."""
        return Ledger(self._context.backends.objects, self._context.backends.clock)

    @cached_property
    def outbox(self) -> Outbox:
        """What publishes ledger entries as events."""
        return Outbox(self._context, self.ledger)

    def register(
        self,
        name: str,
        artifact: PathLike[str] | str,
        *,
        run: object = None,
        metrics: Mapping[str, SupportsFloat] | None = None,
        features: FeatureService | None = None,
        tags: Mapping[str, str] | None = None,
        card: str = "",
        code: Sequence[Path | str] = (),
        signature: object = None,
        request: str | None = None,
    ) -> ModelVersion:
        """Make a new version of a model from a folder in MLflow's format.

        Within a pipeline step, within an event handler and with `request` a retry never makes two versions: the same
        call again returns the first one. Elsewhere a call that was cut off before the version existed is finished by
        the same call, and one that was cut off after that is not told apart from the wish for another version.

        Args:
            name: The model; a lower-case letter, then at most 62 of a-z, 0-9, `-` and `_`.
            artifact: The folder, with an `MLmodel` file in it, such as `mlflow.sklearn.save_model` writes.
            run: The run that made it, or its id; within a step, that step's run.
            metrics: Finite numbers to keep with the version.
            features: The feature service it was trained on; its definition and code go with the files.
            tags: Free tags to begin with.
            card: Markdown for people: purpose, data, limits.
            code: Modules and packages that the model needs, put under `code/`.
            signature: Inputs and outputs, as an mlflow `ModelSignature` or a mapping, for a folder that has none.
            request: A key of your own: the same key again is the same version.

        Raises:
            InvalidRequestError: All that is wrong with the arguments; nothing was written.
            ConflictError: A file was changed while it was uploaded; there is no version.
        """
        with span("models.register", model=name):
            new = prepared(
                name,
                Path(artifact),
                run=run_id(run) or (self._context.run.id if self._context.run else None),
                metrics=metrics or {},
                features=features,
                tags=tags or {},
                card=card,
                code=code,
                signature=signature,
                request=request,
            )
            self._check_store(name, stamp=True)
            version = self._registrar.register(new, request=request)
            self._announce(name)
            return version

    def get(self, name: str, version: str | None = None, *, stage: Stage | str | None = None) -> ModelVersion:
        """Return a version, or the one that entered a stage last.

        Raises:
            NotFoundError: There is none.
            InvalidRequestError: Not exactly one of `version` and `stage` was given.
        """
        with span("models.get", model=name, version=version, stage=stage):
            if (version is None) == (stage is None):
                raise InvalidRequestError(
                    f"model {name!r}: give a version or a stage", hint='Such as get(name, "3") or stage="production".'
                )
            fold = self._read(name)
            if stage is None:
                return model_version(name, rules.live_version(fold, version or ""))
            if (state := fold.last_moved_to(wanted := stage_named(stage))) is None:
                raise NotFoundError(
                    f"no version of model {name!r} is in stage {wanted.value!r}",
                    hint=f"`cloudmlops models list {name}` shows what there is.",
                    resource=name,
                )
            return model_version(name, state)

    def list(
        self, name: str | None = None, *, stage: Stage | str | None = None, tags: Mapping[str, str] | None = None
    ) -> list[ModelVersion]:
        """Return the versions of a model, or of all, that are in a stage and carry all these tags; oldest first.

        Of all models, one whose ledger is damaged is left out, and named in the log; asked for by name, it raises.

        Raises:
            UnexpectedReplyError: The ledger of the model is damaged.
            ConfigurationError: Models of this platform have their ledgers in another object store than ours.
        """
        with span("models.list", model=name, stage=stage):
            wanted = None if stage is None else stage_named(stage)
            return [
                model_version(fold.model, state)
                for fold in (self._whole() if name is None else [self._checked(name)])
                for state in fold.versions.values()
                if state.live
                and wanted in (None, state.stage)
                and all(state.tags.get(tag) == value for tag, value in (tags or {}).items())
            ]

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> ModelVersion:
        """Set free tags; those that other writers set at the same time stay."""
        with span("models.tag", model=name, version=version):
            refuse(name, text_faults("tag", tags))
            return self._write(name, version, lambda fold: rules.tagging(fold, version, tags))

    def untag(self, name: str, version: str, tags: Sequence[str]) -> ModelVersion:
        """Remove free tags; one that is not there is no error."""
        with span("models.untag", model=name, version=version):
            removed = [tags] if isinstance(tags, str) else [*tags]
            return self._write(name, version, lambda fold: rules.tagging(fold, version, {}, removed))

    def approve(self, name: str, version: str, *, to: Stage | str, reason: str = "") -> Entry:
        """Approve a version for a stage, under this platform's actor; the same approval twice is one.

        Raises:
            InvalidRequestError: The actor registered the version, so that the approval would not count.
            NotFoundError: There is no such version.
        """
        stage, actor = stage_named(to), self._context.actor
        with span("models.approve", model=name, version=version, to=stage):
            self._check_writing(name, reason=reason)
            effect = effect_key("approve", name, version, stage)
            plan = _once(
                effect,
                lambda fold: rules.approving(fold, version, stage, actor=actor, reason=reason, effect=effect),
            )
            appended = self.ledger.append(name, actor, plan)
            if appended.entry is not None:
                project(self._context.backends.models, self.ledger, appended.fold, [version])
                return appended.entry
            given = next(
                approval.sequence
                for approval in appended.fold.versions[version].approvals
                if approval.actor.id == actor.id and approval.stage is stage
            )
            return next(self.ledger.entries(name, after=given - 1))

    def promote(
        self,
        name: str,
        version: str,
        *,
        to: Stage | str,
        reason: str = "",
        expect: str | None = None,
        evidence: Evidence | Mapping[str, Any] | None = None,
    ) -> ModelVersion:
        """Move a version to a stage; to production, it takes the place of the one that is there, in one entry.

        Args:
            name: The model.
            version: Of it.
            to: The stage.
            reason: Why, for the record.
            expect: The version that must be in production now; empty for none; None does not ask.
            evidence: Metrics, baseline, run and reports that policies look at and the record keeps.

        Raises:
            InvalidMoveError: The stages do not allow the move, or policies are unmet; all unmet ones are listed.
            ConflictError: Another version than the expected one is in production; says who put it there, and when.
            NotFoundError: There is no such version.
            UnsupportedError: A policy asks for a role, and the platform has no access control.
        """
        stage, actor = stage_named(to), self._context.actor
        with span("models.promote", model=name, version=version, to=stage):
            self._check_writing(name, reason=reason, expect=expect)
            given = checked_evidence(evidence)
            policies = self._policies.get(stage, ())
            if asked := roles_asked(policies):
                self._context.backends.capabilities.require(Capability.ACCESS_CONTROL)
            effect = effect_key("promote", name, version, stage)
            return self._write(
                name,
                version,
                _once(
                    effect,
                    lambda fold: rules.moving(
                        fold,
                        version,
                        stage,
                        actor=actor,
                        reason=reason,
                        evidence=given,
                        expected=expect,
                        policies=policies,
                        holders=self._holders(fold, version, stage, asked),
                        effect=effect,
                    ),
                ),
                effect=effect,
            )

    def rollback(self, name: str, *, reason: str = "", expect: str | None = None) -> ModelVersion:
        """Bring back the version that was displaced from production last, and archive the current one, in one entry.

        Args:
            name: The model.
            reason: Why, for the record.
            expect: The version that must be in production now; empty for none; None does not ask.

        Raises:
            InvalidMoveError: There is none, or files of it are gone.
            ConflictError: Another version than the expected one is in production.
        """
        with span("models.rollback", model=name):
            self._check_writing(name, reason=reason, expect=expect)
            effect = effect_key("rollback", name)

            def plan(fold: Fold) -> Statement:
                said = rules.rolling_back(fold, reason=reason, expected=expect, effect=effect)
                prefix, digest = _place(name, rules.live_version(fold, said.version or ""))
                if gone := model_files.missing(self._context.backends.objects, prefix, digest):
                    raise InvalidMoveError(
                        f"cannot roll back to {name}@{said.version}: files of it are gone from the object store",
                        faults=gone,
                        hint="Restore them from a backup, or promote another version through its stages.",
                    )
                return said

            return self._write(name, None, _once(effect, plan), effect=effect)

    def history(self, name: str) -> History:
        """Read every entry of a model's ledger, each checked against the one before.

        Raises:
            NotFoundError: There is no such model.
            UnexpectedReplyError: An entry is damaged or missing, or was changed after the next one was written.
        """
        with span("models.history", model=name):
            self._check_store(name)
            entries = [*self.ledger.entries(name)]
            self.ledger.check_end(name, entries[-1].sequence if entries else 0)
            if not entries:
                raise _no_model(name)
            return entries

    def names(self) -> Sequence[str]:
        """List the names of all models, those with a damaged ledger too, sorted."""
        with span("models.names"):
            return self._names()

    def at(self, name: str, stage: Stage | str, when: datetime) -> str | None:
        """Say which version was in a stage at a time (of several, the one that entered it last); None for none.

        Raises:
            InvalidRequestError: `when` has no time zone.
            NotFoundError: There is no such model.
        """
        wanted = stage_named(stage)
        with span("models.at", model=name, stage=wanted):
            if when.tzinfo is None:
                raise InvalidRequestError(
                    f"the time {when.isoformat()} has no time zone", hint="Write datetime(…, tzinfo=UTC)."
                )
            folding = Folding(Fold(model=name))
            for entry in self.history(name):
                if entry.at > when:
                    break
                folding.add(entry)
            state = folding.fold().last_moved_to(wanted)
            return state.version if state else None

    def download(self, name: str, version: str, *, to: Path | str) -> Path:
        """Write a version's files into a folder that is empty or not there, all or none, and check their digests.

        Raises:
            NotFoundError: There is no such version, or its files are gone.
            UnexpectedReplyError: The files are not those that were registered.
            InvalidRequestError: The folder holds something.
        """
        with span("models.download", model=name, version=version):
            prefix, digest = _place(name, rules.live_version(self._read(name), version))
            return model_files.download(self._context.backends.objects, prefix, digest, Path(to))

    def delete(self, name: str, version: str, *, reason: str = "") -> None:
        """Remove a version's files and record; the ledger keeps its history. Deleting again finishes what was cut off.

        Raises:
            InvalidMoveError: The version is in production.
            NotFoundError: There is no such version.
        """
        with span("models.delete", model=name, version=version):
            self._check_writing(name, reason=reason)
            self.ledger.append(name, self._context.actor, lambda fold: rules.deleting(fold, version, reason=reason))
            self._context.backends.models.delete(name, version)
            model_files.remove(self._context.backends.objects, model_files.folder(name, version))

    def verify(self, name: str) -> Verification:
        """Read all of a model's records; report a broken chain, damaged entries, and records that disagree."""
        with span("models.verify", model=name):
            self._check_store(name)
            return ledger_health.verify(name, ledger=self.ledger, port=self._context.backends.models)

    def repair(self, name: str) -> Verification:
        """Set right what can be: a damaged last entry is set aside, and the provider's records are drawn again."""
        with span("models.repair", model=name):
            self._check_store(name)
            backends = self._context.backends
            return ledger_health.repair(
                name, self._context.actor, ledger=self.ledger, objects=backends.objects, port=backends.models
            )

    @cached_property
    def _registrar(self) -> Registrar:
        return Registrar(self._context, self.ledger)

    def _whole(self) -> Iterator[Fold]:
        """Yield the ledgers of all models that can be read."""
        for name in self._names():
            try:
                yield self._checked(name)
            except UnexpectedReplyError as error:
                _log.warning(
                    "model %s is not listed: %s. `cloudmlops models verify %s` says more, "
                    "`cloudmlops models repair %s` sets right what can be.",
                    name,
                    error.message,
                    name,
                    name,
                )

    def _names(self) -> Sequence[str]:
        return sorted({*self.ledger.names(), *self._context.backends.models.stamped()})

    def _checked(self, name: str) -> Fold:
        if name not in self._read_before:
            self._check_store(name)
            self._read_before.add(name)
        return self.ledger.read(name)

    def _read(self, name: str) -> Fold:
        fold = self._checked(name)
        if fold.sequence == 0:
            raise _no_model(name)
        return fold

    def _write(self, name: str, version: str | None, plan: Plan, *, effect: str | None = None) -> ModelVersion:
        """Append what `plan` says, draw it on the provider's records, and publish it."""
        self._check_writing(name)
        appended = self.ledger.append(name, self._context.actor, plan)
        fold, entry = appended.fold, appended.entry
        if entry is None and effect is None:
            return model_version(name, fold.versions[version or ""])
        if entry is None:
            # An earlier attempt of the event handler wrote it, and may have ended before the rest was done.
            entry = next(self.ledger.entries(name, after=fold.effects[effect or ""] - 1))
        moved = [changed for changed, _, _ in entry.changes]
        project(self._context.backends.models, self.ledger, fold, moved or [entry.version or ""])
        if moved:
            self._announce(name)
        return model_version(name, fold.versions[entry.version or ""])

    def _holders(self, fold: Fold, version: str, stage: Stage, asked: Iterable[Role]) -> Mapping[Role, frozenset[str]]:
        """Ask who of those who approved a version for a stage holds some roles."""
        state = fold.versions.get(version)
        approvals = () if state is None else state.approvals
        approvers = {approval.actor.id for approval in approvals if approval.stage is stage}
        return {role: self._context.backends.access.holders(role, approvers) for role in asked if approvers}

    def _announce(self, name: str) -> None:
        try:
            self.outbox.flush(name)
        except CloudMLOpsError as error:
            # The entry stands, and whoever handles events publishes what the outbox still holds.
            _log.warning("model %s: its ledger has changed, the event is not out yet: %s", name, error)

    def _check_writing(self, name: str, **texts: object) -> None:
        """Raise `InvalidRequestError` for a name or texts that no entry can hold, before any I/O; check the store."""
        refuse(name, [*name_faults("model", name), *said_faults(**texts)])
        self._check_store(name)

    def _check_store(self, name: str, *, stamp: bool = False) -> None:
        """Raise `ConfigurationError` when the model's ledger lies in another object store than ours."""
        if name in self._stamped:
            return
        backends = self._context.backends
        ours, stamped = backends.objects.uri, backends.models.store(name)
        if stamped is not None and stamped != ours:
            raise ConfigurationError(
                f"the ledger of model {name!r} lies in {stamped}, but this platform is configured with {ours}",
                hint="Connect with the store that the model was registered in: two ledgers would be two truths.",
            )
        if stamped is None and stamp:
            backends.models.stamp(name, ours)
        if stamped is not None or stamp:
            self._stamped.add(name)


def _once(effect: str | None, plan: Plan) -> Plan:
    """Ask `plan` only while the effect has no entry yet."""
    return lambda fold: None if effect in fold.effects else plan(fold)


def _place(name: str, state: VersionState) -> tuple[str, str]:
    digest = state.registration.manifest if state.registration else ""
    return model_files.place(name, state.version, digest), digest


def _no_model(name: str) -> NotFoundError:
    return NotFoundError(f"there is no model {name!r}", hint="Register a version first.", resource=name)
