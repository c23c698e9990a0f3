"""Which trials of a sweep are ended before they end: the policies.

The rules are the documented ones (learn.microsoft.com, "Hyperparameter tuning a model", "Specify early termination
policy"). An interval is one more time that the primary metric is logged; a trial is judged at each
`evaluation_interval` of them, from `delay_evaluation` on, against what trials had logged by the same interval.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from cloudmlops.emulators.azure.arm.errors import UserError

Logged = Mapping[str, Sequence[float]]
"""What trials have logged of the primary metric, by their names; more is better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(ABC):
    """When a trial is ended."""

    every: int
    after: int

    def ends(self, trial: str, logged: Logged) -> bool:
        """Say whether a trial is to end, at the last of its intervals at which it is judged."""
        count = len(logged[trial]) // self.every * self.every
        return count > 0 and count >= self.after and self.worse(trial, count, logged)

    @abstractmethod
    def worse(self, trial: str, count: int, logged: Logged) -> bool:
        """Say whether a trial does too badly after so many intervals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bandit(Policy):
    """Ends what is too far from the best."""

    factor: float
    amount: float
    minimizes: bool

    def worse(self, trial: str, count: int, logged: Logged) -> bool:
        best = max(_best(values, count) for values in logged.values() if len(values) >= count)
        own = _best(logged[trial], count)
        if self.factor:
            # Of what is to be small the sign is turned: it is worse when it is larger than the best times the factor.
            allowed = best * (1 + self.factor) if self.minimizes else best / (1 + self.factor)
        else:
            allowed = best - self.amount
        return own < allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Median(Policy):
    """Ends what is worse than the median of all running averages."""

    def worse(self, trial: str, count: int, logged: Logged) -> bool:
        averages = [mean(values[:count]) for values in logged.values() if len(values) >= count]
        return _best(logged[trial], count) < median(averages)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncation(Policy):
    """Ends a share of the worst."""

    percentage: float

    def worse(self, trial: str, count: int, logged: Logged) -> bool:
        ranked = sorted((_best(values, count), name) for name, values in logged.items() if len(values) >= count)
        ended = int(len(ranked) * self.percentage / 100)
        return trial in [name for _, name in ranked[:ended]]


def read_policy(given: Mapping[str, Any] | None, *, minimizes: bool) -> Policy | None:
    """Read an early termination policy; None is none.

    Args:
        given: As it was submitted, in the names of a job or of a step.
        minimizes: Whether the primary metric is to be small.

    Raises:
        Refused: It is none.
    """
    if not given:
        return None

    def of(name: str, snake: str, default: float = 0) -> float:
        value = given.get(name, given.get(snake))
        return default if value is None else float(value)

    kind = str(given.get("policyType") or given.get("policy_type") or given.get("type")).lower().replace("_", "")
    common = {
        "every": max(1, int(of("evaluationInterval", "evaluation_interval", 1))),
        "after": int(of("delayEvaluation", "delay_evaluation")),
    }
    if kind == "bandit":
        factor, amount = of("slackFactor", "slack_factor"), of("slackAmount", "slack_amount")
        if bool(factor) == bool(amount):
            raise UserError("INVALID_ARGUMENT", "A bandit policy has either a slackFactor or a slackAmount.")
        return Bandit(**common, factor=factor, amount=amount, minimizes=minimizes)
    if kind == "medianstopping":
        return Median(**common)
    if kind == "truncationselection":
        percentage = of("truncationPercentage", "truncation_percentage")
        if not 1 <= percentage <= 99:
            raise UserError("INVALID_ARGUMENT", "The truncationPercentage of a policy is from 1 to 99.")
        return Truncation(**common, percentage=percentage)
    raise UserError("INVALID_ARGUMENT", f"The early termination policy {kind!r} is none.")


def _best(values: Sequence[float], count: int) -> float:
    return max(values[:count])
