"""Bringing journal and Azure ML together: whoever looks at an endpoint finishes what others began and left."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.endpoints import TrafficReason, traffic_with, traffic_without
from cloudmlops.errors import ConflictError, NotFoundError, PermissionDeniedError, ServiceError, WaitTimeoutError
from cloudmlops.providers.azureml.deployments.autoscaling import Autoscaling
from cloudmlops.providers.azureml.mapping import endpoints as mapping
from cloudmlops.providers.azureml.mapping.endpoints import Shown
from cloudmlops.providers.deployment_journal import Act, ActState, Change, Journal, Record, split_change

if TYPE_CHECKING:
    from azure.ai.ml.entities import ManagedOnlineDeployment

    from cloudmlops.ports.clock import Clock
    from cloudmlops.providers.azureml.backends import AzureMLBackends
    from cloudmlops.providers.azureml.deployments.resources import Resources

_FAILURE_LINES: Final = 40
_ASKED: Final = "asked"
"""Stands for an operation whose address Azure has not told."""
_LATER: Final = "later"
"""Stands for one that whoever looks next is to begin: the endpoint was still being made, or busy."""
_TRIES: Final = 2
_ENDED_BADLY: Final = frozenset({"Failed", "Canceled"})


class Settling:
    """Reads endpoints, and does what is to be done before they can be told about."""

    def __init__(self, backends: AzureMLBackends, resources: Resources, journal: Journal, clock: Clock) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._resources = resources
        self._autoscaling = Autoscaling(backends.wire)
        self._journal = journal
        self._clock = clock

    def settled(self, endpoint: str) -> tuple[Record, Shown | None]:
        """Return journal and endpoint in agreement.

        What had to wait for its endpoint is asked for; deployments that have become healthy get their traffic, those
        that have failed are removed; an endpoint that we made and nothing was ever deployed to is removed when nothing
        is on its way. Who may only read is told what there is, and what others have made is left as it is.
        """
        record, shown = self._journal.read(endpoint), self._resources.shown(endpoint)
        if shown is not None and not mapping.is_ours(mapping.tags_of(shown.endpoint)):
            return record, shown
        try:
            return self._settle(endpoint, record, shown)
        except PermissionDeniedError:
            return record, shown

    def ask(self, endpoint: str, act: Act) -> None:
        """Ask Azure ML for an act: the endpoint first, if there is none.

        Raises:
            ServiceError: Azure refuses it.
        """
        try:
            self._ask(endpoint, act)
        except WaitTimeoutError:
            self._journal.note(endpoint, act, {"kind": "operation", "operation": _LATER})

    def _ask(self, endpoint: str, act: Act) -> None:
        for left in reversed(range(_TRIES)):
            self._resources.make(endpoint)
            try:
                operation = self._resources.deploy(endpoint, act, self._settings.target)
            except NotFoundError:  # another process has removed the endpoint, for its own deployment had failed
                if not left or self._resources.shown(endpoint) is not None:
                    raise
            else:
                self._journal.note(endpoint, act, {"kind": "operation", "operation": operation or _ASKED})
                return

    def delete(self, endpoint: str) -> None:
        """Remove an endpoint with all that is deployed there."""
        for act in self._journal.read(endpoint).live():
            self._autoscaling.end(endpoint, act, operation="endpoints.delete")
        self._resources.remove(endpoint)

    def undeploy(self, endpoint: str, shown: Shown, native: str, act: Act | None) -> dict[str, int]:
        """Take a deployment from an endpoint; the others take its share. Returns the split after that."""
        if act is not None:
            self._autoscaling.end(endpoint, act, operation="endpoints.undeploy")
        split = self._without_traffic(endpoint, shown, native, operation="endpoints.undeploy")
        self._resources.undeploy(endpoint, native)
        return split

    def _settle(self, endpoint: str, record: Record, shown: Shown | None) -> tuple[Record, Shown | None]:
        # What the journal knew before Azure was asked: what has been deployed since is not missing.
        deployed = [act for act in record.acts.values() if act.state is ActState.DEPLOYED]
        for act in record.begun():
            self._advance(endpoint, act, shown)
        record = self._journal.read(endpoint)
        for act in deployed:
            if shown is None or shown.of(act) is None:
                split = mapping.split(shown) if shown is not None else {}
                change = split_change("undeployed", split, TrafficReason.UNDEPLOYED, "")
                record = self._journal.note(endpoint, act, change)
        return record, self._cleared(endpoint, record, shown) if shown is not None else None

    def _cleared(self, endpoint: str, record: Record, shown: Shown) -> Shown | None:
        """Begin to remove what is there of deployments that have failed; return the endpoint without that."""
        failed = [(act, shown.of(act)) for act in record.acts.values() if act.state is ActState.FAILED]
        left = [one for _, one in failed if one is not None]
        for act, one in failed:
            if one is not None:
                with suppress(PermissionDeniedError):  # who may not set it has not: the machines are given back
                    self._autoscaling.end(endpoint, act, operation="endpoints.deploy")
                shown = shown.without(str(one.name))
        if record.in_vain and not shown.deployments and not mapping.waits_for_rights(record.acts.values()):
            if mapping.state_of(shown.endpoint) != "Deleting":
                with suppress(ConflictError, WaitTimeoutError):  # somebody deploys to it just now: the next look
                    self._resources.begin_removal(endpoint, operation="endpoints.deploy")
            return None
        for one in left:
            if mapping.state_of(one) != "Deleting":
                self._without_traffic(endpoint, shown, str(one.name), operation="endpoints.deploy")
                self._resources.begin_undeploy(endpoint, str(one.name), operation="endpoints.deploy")
        return shown

    def _without_traffic(self, endpoint: str, shown: Shown, native: str, *, operation: str) -> dict[str, int]:
        """Let a deployment have no traffic and no copies of any; return the split after that, by Azure's names."""
        split = mapping.traffic_shown(shown)
        copied = mapping.mirror_shown(shown)
        if split.get(native) or copied.get(native):
            rest = [str(one.name) for one in shown.deployments if one.name != native]
            split = traffic_without(split, native, rest)
            kept = {name: share for name, share in copied.items() if name != native}
            self._resources.split(endpoint, split, mirror=kept, operation=operation)
        return split

    def _advance(self, endpoint: str, act: Act, shown: Shown | None) -> None:
        """Bring an act that has begun one step on, if there is one to take."""
        found = shown.of(act) if shown is not None else None
        if shown is None or found is None:
            if act.operation == _LATER:
                if shown is None or mapping.state_of(shown.endpoint) not in mapping.IN_WORK:
                    self._ask_later(endpoint, act)
            elif act.operation:  # somebody has removed it while it was being deployed
                self._journal.note(endpoint, act, {"kind": "undeployed"})
            elif self._left(act.created_at):
                self._journal.fail(endpoint, act, "the process that deployed it ended before Azure ML was asked")
            return
        state = mapping.state_of(found)
        if state in _ENDED_BADLY:
            self._journal.fail(endpoint, act, self._failure(endpoint, act, found))
        elif state == "Succeeded" and self._scaled(endpoint, act):
            self._shift(endpoint, act, shown)

    def _scaled(self, endpoint: str, act: Act) -> bool:
        """Let machines follow the load, if that is asked for; False when the act has failed of it.

        That somebody else may not set it, who only looks, is not a failure.
        """
        try:
            self._autoscaling.follow(endpoint, act, self._resources.location())
        except ServiceError as error:
            theirs = isinstance(error, PermissionDeniedError) and str(self._backends.actor()) != act.actor
            if error.retryable or theirs:
                raise
            self._journal.fail(endpoint, act, f"{error.message}\n{error.hint}".strip())
            return False
        return True

    def _ask_later(self, endpoint: str, act: Act) -> None:
        """Ask for an act that had to wait; what Azure refuses has failed."""
        try:
            self.ask(endpoint, act)
        except ServiceError as error:
            if error.retryable or isinstance(error, PermissionDeniedError):
                raise
            self._journal.fail(endpoint, act, error.message)

    def _shift(self, endpoint: str, act: Act, shown: Shown) -> None:
        """Give a healthy deployment its traffic and note that it is deployed; one process at a time does so."""
        current = mapping.split(shown)
        wanted = _wanted(act, current)
        if wanted != current:
            if act.shifting_since and not self._left(act.shifting_since):
                return
            if not self._claimed(endpoint, act):
                return
            wanted = self._given(endpoint, act, shown)
        change = split_change("deployed", wanted, TrafficReason.DEPLOYED, act.actor)
        self._journal.note(endpoint, act, change)

    def _given(self, endpoint: str, act: Act, shown: Shown) -> dict[str, int]:
        """Split traffic as an act asks for, from whatever split there is when it is written; return it."""
        for left in reversed(range(_TRIES)):
            current = mapping.traffic_shown(shown)
            wanted = _wanted(act, mapping.split(shown))
            native = mapping.native_split(wanted)
            try:
                self._resources.split(endpoint, native, expected=current, operation="endpoints.deploy")
            except ConflictError:
                again = self._resources.shown(endpoint)
                if not left or again is None:
                    raise
                shown = again
            else:
                shown.endpoint.traffic = native
                return wanted
        raise AssertionError("the last try returns or raises")

    def _claimed(self, endpoint: str, act: Act) -> bool:
        """Note that this process gives an act its traffic; False when another one was faster."""
        claimed = False

        def decide(record: Record) -> Change | None:
            nonlocal claimed
            known = record.acts.get(act.deployed_as)
            free = known is not None and known.state is ActState.BEGUN
            claimed = free and known is not None and known.shifting_since == act.shifting_since
            return {"kind": "shifting", "deployed_as": act.deployed_as} if claimed else None

        self._journal.append(endpoint, decide)
        return claimed

    def _left(self, since: str) -> bool:
        """Say whether who began something has had time enough to note how it went on."""
        return (self._clock.now() - datetime.fromisoformat(since)) >= 2 * self._settings.timeout

    def _failure(self, endpoint: str, act: Act, found: ManagedOnlineDeployment) -> str:
        """Return what Azure says of a deployment that failed, and the end of its log."""
        uri = act.operation if act.operation not in ("", _ASKED, _LATER) else mapping.operation_of(found)
        told = self._resources.outcome(uri, endpoint) or f"its state is {mapping.state_of(found)}"
        try:
            log = self._resources.logs(endpoint, str(found.name), _FAILURE_LINES).strip()
        except ServiceError as error:  # where no machine was started, there may be none: what Azure says is known
            log = f"(its log could not be read: {error.message})"
        told = told if log in told else f"{told}\n{log}"
        lacking = mapping.rights_lacking(self._resources.read(endpoint) or {}, told) if act.looks_up else ""
        return f"{told}\n{lacking}".rstrip()


def _wanted(act: Act, current: Mapping[str, int]) -> dict[str, int]:
    """Return the split that an act asks for; the first deployment gets all."""
    if not current:
        return {act.name: 100}
    return traffic_with(current, act.name, act.traffic_percent) if act.traffic_percent else dict(current)
