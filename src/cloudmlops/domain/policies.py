"""What a promotion must satisfy: pure functions of the ledger's fold and the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cloudmlops.domain.access import Role
from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.domain.ledger import Approval, Evidence, Fold, VersionState
from cloudmlops.domain.models import Stage, stage_named
from cloudmlops.errors import CloudMLOpsError, ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A promotion that somebody asks for."""

    fold: Fold
    state: VersionState
    to: Stage
    actor: Actor
    evidence: Evidence
    holders: Mapping[Role, frozenset[str]] = field(default_factory=dict)
    """Who of those who approved holds the roles that policies ask for, as the platform's access control says now."""

    def metric(self, name: str) -> float | None:
        """Find a metric in the evidence, else in what was registered with the version."""
        registered = self.state.registration.metrics if self.state.registration else {}
        return self.evidence.metrics.get(name, registered.get(name))

    def baseline(self, name: str) -> float | None:
        """Find what to compare a metric with: in the evidence, else registered with the version in production."""
        if name in self.evidence.baseline:
            return self.evidence.baseline[name]
        current = self.fold.last_moved_to(Stage.PRODUCTION)
        return current.registration.metrics.get(name) if current and current.registration else None

    def counted_approvals(self, role: Role | None = None) -> tuple[Approval, ...]:
        """Return the first approval of each actor who neither registered the version nor asks for its promotion.

        Args:
            role: Only of those who hold it, and of whom the platform itself said who they are.
        """
        involved = {self.actor.id, self.state.reserved.actor.id}
        if self.state.registered is not None:
            involved.add(self.state.registered.actor.id)
        counted: dict[str, Approval] = {}
        for approval in self.state.approvals:
            if approval.stage is self.to and approval.actor.id not in involved and self._has_role(approval.actor, role):
                counted.setdefault(approval.actor.id, approval)
        return tuple(counted.values())

    def _has_role(self, actor: Actor, role: Role | None) -> bool:
        if role is None:
            return True
        return actor.kind is not ActorKind.SELF_DECLARED and actor.id in self.holders.get(role, frozenset())


class Policy(Protocol):
    """A rule for promotions; the same proposal always gets the same answer."""

    @property
    def name(self) -> str:
        """What the ledger's entry calls it."""
        ...

    def unmet(self, proposal: Proposal) -> str | None:
        """Say in a sentence why the proposal does not satisfy the rule; None when it does."""
        ...


@dataclass(frozen=True, slots=True)
class RequiresApprovals:
    """At least `n` people approved who neither registered the version nor promote it."""

    n: int = 1
    role: Role | str | None = None
    """Only those count who hold this role on the platform when it is promoted, such as `approver`: where the platform
    has access control."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for what is not a positive number of people, or no role."""
        given: object = self.n
        faults = []
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:
            faults.append(f"{given!r} is not a number of people, 1 or more")
        if self.role is not None and self.role not in list(Role):
            faults.append(f"{self.role!r} is not a role: {', '.join(Role)}")
        _refuse("requires_approvals", faults)

    @property
    def name(self) -> str:
        """What the ledger's entry calls it."""
        return f"requires_approvals({self.n}{f', by {self.role}' if self.role else ''})"

    @property
    def wanted(self) -> Role | None:
        """The role that those who approve must hold."""
        return Role(self.role) if self.role else None

    def unmet(self, proposal: Proposal) -> str | None:
        """Count the approvals of others."""
        others, counted = (_actors(proposal.counted_approvals(role)) for role in (None, self.wanted))
        if len(counted) >= self.n:
            return None
        own = _actors(item for item in proposal.state.approvals if item.stage is proposal.to) - others
        said = f"{len(counted)} of {self.n}"
        if own:
            said += f"; by who registered or promotes it, not counted: {', '.join(sorted(own))}"
        if without := others - counted:
            said += f"; by who does not hold the role {self.role}, not counted: {', '.join(sorted(without))}"
        return f"approvals for {proposal.to.value} by others than its registrar and promoter: {said}"


@dataclass(frozen=True, slots=True)
class MetricAtLeast:
    """A metric reaches a value."""

    metric: str
    value: float

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for what no metric can be compared with."""
        _refuse("metric_at_least", _metric_faults(self.metric) + _number_faults("value", self.value))

    @property
    def name(self) -> str:
        """What the ledger's entry calls it."""
        return f"metric_at_least({self.metric}, {self.value:g})"

    def unmet(self, proposal: Proposal) -> str | None:
        """Compare the metric with the value."""
        found = proposal.metric(self.metric)
        if found is None:
            return f"metric {self.metric!r} is neither in the evidence nor registered with the version"
        # Written so that a NaN does not pass.
        return None if found >= self.value else f"metric {self.metric!r} is {found:g}, below {self.value:g}"


@dataclass(frozen=True, slots=True)
class BeatsBaseline:
    """A metric is better, by at least `by`, than the baseline: the evidence's, else the production version's."""

    metric: str
    by: float = 0.0
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for what no metric can be compared with."""
        faults = _metric_faults(self.metric) + _number_faults("by", self.by)
        if not isinstance(self.lower_is_better, bool):
            faults.append(f"lower_is_better is {self.lower_is_better!r}, not true or false")
        _refuse("beats_baseline", faults)

    @property
    def name(self) -> str:
        """What the ledger's entry calls it."""
        direction = ", lower is better" if self.lower_is_better else ""
        return f"beats_baseline({self.metric}, by {self.by:g}{direction})"

    def unmet(self, proposal: Proposal) -> str | None:
        """Compare the metric with the baseline's."""
        found, baseline = proposal.metric(self.metric), proposal.baseline(self.metric)
        if found is None:
            return f"metric {self.metric!r} is neither in the evidence nor registered with the version"
        if baseline is None:
            return f"there is no baseline for {self.metric!r}: neither in the evidence nor in production"
        gain = baseline - found if self.lower_is_better else found - baseline
        # Written so that a NaN does not pass.
        if gain > 0 and gain >= self.by:
            return None
        return f"metric {self.metric!r} is {found:g} and does not beat the baseline {baseline:g} by {self.by:g}"


Policies = Mapping[Stage, Sequence[Policy]]
"""What a promotion must satisfy, by the stage promoted to."""

_KINDS: Final[Mapping[str, Callable[..., Policy]]] = {
    "requires_approvals": RequiresApprovals,
    "metric_at_least": MetricAtLeast,
    "beats_baseline": BeatsBaseline,
}


def roles_asked(policies: Iterable[Policy]) -> frozenset[Role]:
    """Return the roles that some policies ask for: who holds them is to be found out before."""
    return frozenset(one.wanted for one in policies if isinstance(one, RequiresApprovals) and one.wanted is not None)


def _actors(approvals: Iterable[Approval]) -> set[str]:
    return {approval.actor.id for approval in approvals}


def _metric_faults(metric: object) -> list[str]:
    return [] if isinstance(metric, str) and metric else [f"metric is {metric!r}, not a name"]


def _number_faults(name: str, value: object) -> list[str]:
    if isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf:
        return []
    return [f"{name} is {value!r}, not a finite number"]


def _refuse(policy: str, faults: Sequence[str]) -> None:
    if faults:
        raise ConfigurationError(f"{policy}: {'; '.join(faults)}")


def policies_from(table: Mapping[str, object], source: str) -> Policies:
    """Read policies as the configuration writes them.

    Args:
        table: By stage a list of one-key tables, such as `{requires_approvals = 1}` or
            `{beats_baseline = {metric = "roc_auc", by = 0.01}}`.
        source: Where the table was found, for messages.

    Raises:
        ConfigurationError: A stage or policy is unknown or has wrong arguments; all faults are listed.
    """
    found: dict[Stage, list[Policy]] = {}
    faults: list[str] = []
    for stage, listed in table.items():
        try:
            policies = found.setdefault(stage_named(stage), [])
        except CloudMLOpsError as error:
            faults.append(error.message)
            continue
        for item in listed if isinstance(listed, list) else [listed]:
            try:
                policies.append(_policy(item))
            except (TypeError, ValueError) as error:
                faults.append(f"{stage}: {error}")
    if faults:
        raise ConfigurationError(
            f"the policies in {source} are not understood: {'; '.join(faults)}",
            hint=f"Write them like production = [{{requires_approvals = 1}}]. Known: {', '.join(sorted(_KINDS))}.",
        )
    return found


def checked_policies(given: object) -> Policies:
    """Return policies that were given in code, by stage; raise `ConfigurationError` with all their faults."""
    found: dict[Stage, list[Policy]] = {}
    faults: list[str] = [] if isinstance(given, Mapping) else [f"{given!r} is not a mapping of stages"]
    for name, listed in given.items() if isinstance(given, Mapping) else ():
        try:
            stage = stage_named(name)
        except CloudMLOpsError as error:
            faults.append(error.message)
            continue
        policies = list(listed) if isinstance(listed, Sequence) and not isinstance(listed, str) else [listed]
        faults += [
            f"{stage.value}: {policy!r} is not a policy"
            for policy in policies
            if not hasattr(policy, "name") or not callable(getattr(policy, "unmet", None))
        ]
        found.setdefault(stage, []).extend(policies)
    if faults:
        raise ConfigurationError(
            f"the policies are not understood: {'; '.join(faults)}",
            hint="Write them like {Stage.PRODUCTION: [RequiresApprovals(1)]}.",
        )
    return found


def merged(*several: Policies) -> Policies:
    """Put policies of several sources together."""
    return {stage: [policy for policies in several for policy in policies.get(stage, ())] for stage in Stage}


def _policy(item: object) -> Policy:
    if not isinstance(item, Mapping) or len(item) != 1:
        raise TypeError(f"{item!r} is not a table with one policy")
    ((kind, arguments),) = item.items()
    if kind not in _KINDS:
        raise ValueError(f"no policy is named {kind!r}")
    if isinstance(arguments, Mapping):
        return _KINDS[kind](**arguments)
    return _KINDS[kind](arguments)
