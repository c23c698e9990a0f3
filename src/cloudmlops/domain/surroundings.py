"""What settings name beside the platform itself, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """Something that a setting names."""

    setting: str
    """Such as `compute`."""
    name: str
    """What the setting says."""
    found: str = ""
    """What is there, in words; empty when nothing was found."""
    fault: str = ""
    """Why verbs that need it would fail, or cost what nobody agreed to; empty when all is well."""
    fix: str = ""
    """What to do about that."""
