"""Goals, and the table that says whether they are reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.measuring import Figure, Missing, Spread

HEADINGS = ("what", "ours", "peer or floor", "ratio", "goal", "verdict")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound on our figure in its own unit, or on the ratio of ours to the other's."""

    bound: float
    unit: str = "x"
    """`x`: the bound is on the ratio."""
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:.3g}{_spaced(self.unit)}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: our figure, what it is held against, and the goal if there is one."""

    what: str
    unit: str
    ours: Figure
    against: str = ""
    theirs: Figure | None = None
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        if isinstance(self.ours, Spread) and isinstance(self.theirs, Spread):
            return self.ours.median / self.theirs.median
        return None

    @property
    def verdict(self) -> str:
        if isinstance(self.ours, Missing):
            return f"not measured: {self.ours.reason}"
        if self.goal is None:
            return "printed"
        value = self.ratio if self.goal.unit == "x" and self.theirs is not None else self.ours.median
        if value is None:
            return "not measured"
        return "met" if self.goal.met_by(value) else "missed"

    @property
    def cells(self) -> tuple[str, ...]:
        theirs = f"{self.against}: {shown(self.theirs, self.unit)}" if self.theirs is not None else ""
        if isinstance(self.theirs, Missing):
            theirs += f" ({self.theirs.reason})"
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}x"
        return (self.what, shown(self.ours, self.unit), theirs, ratio, str(self.goal or ""), self.verdict)


@dataclass(frozen=True, kw_only=True)
class Details:
    """All engines of a topic, for those who want to know more than whether a goal is met."""

    title: str
    headings: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a topic found."""

    rows: list[Row]
    details: list[Details]


def shown(figure: Figure | None, unit: str) -> str:
    """A figure for people: the median, and lowest and highest where they differ."""
    if figure is None:
        return ""
    if isinstance(figure, Missing):
        return "not measured"
    spread = f" [{_number(figure.low)}-{_number(figure.high)}]" if figure.count > 1 else ""
    return f"{_number(figure.median)}{_spaced(unit)}{spread}"


def text(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """An aligned table for a terminal."""
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    drawn = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in (headings, rule, *lines)
    )
    return "\n".join(line.rstrip() for line in drawn)


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, ["---"] * len(headings), *lines))


def _spaced(unit: str) -> str:
    return unit if unit in ("", "x", "/s") else f" {unit}"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
