"""Which events an event subscription wants: pure rules.

As Microsoft documents them (learn.microsoft.com, "Understand event filtering for Event Grid subscriptions"): strings
are compared without regard to case; several values of one filter are joined by or, several filters by and; a field that
is not there fits `NumberNotIn`, `StringNotIn` and `IsNullOrUndefined` only; values of an array count one by one where
`enableAdvancedFilteringOnArrays` says so, those of another type than the filter's do not count. The documentation does
not say what `NumberNotInRange` makes of a field that is not there: here it fits, as `NumberNotIn` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

MOST_FILTERS: Final = 25
MOST_VALUES: Final = 25
LONGEST_VALUE: Final = 512
_MISSING: Final = object()
_ALIASES: Final = {
    "eventid": ("id",),
    "eventtype": ("eventType", "type"),
    "type": ("type", "eventType"),
    "source": ("source", "topic"),
    "topic": ("topic", "source"),
    "eventtypeversion": ("specversion", "dataVersion"),
}
"""Other names of fields, in lower case: both schemas' names are understood for both."""

Comparison = Callable[[Any, Any], bool]


def wanted(filter_: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Say whether a filter lets an event of either schema through.

    Args:
        filter_: As an event subscription of Azure Resource Manager has it, or the `filtersConfiguration` of a
            namespace's, whose `filters` are `advancedFilters` here.
        event: The event.
    """
    types = filter_.get("includedEventTypes")
    kind = str(lookup(event, "eventType", ""))
    if types and not any(one.lower() in ("all", kind.lower()) for one in types):
        return False
    if not _subject_fits(filter_, str(lookup(event, "subject", "") or "")):
        return False
    arrays = bool(filter_.get("enableAdvancedFilteringOnArrays"))
    advanced = filter_.get("advancedFilters") or filter_.get("filters") or ()
    return all(fits(one, event, arrays=arrays) for one in advanced)


def fits(one: Mapping[str, Any], event: Mapping[str, Any], *, arrays: bool = False) -> bool:
    """Say whether an event fits one advanced filter.

    Args:
        one: With `operatorType`, `key`, and `value` or `values`.
        event: Of either schema.
        arrays: Whether the values of an array are looked at one by one.
    """
    operator, found = str(one["operatorType"]).lower(), lookup(event, str(one["key"]), _MISSING)
    there = found is not _MISSING and found is not None
    if operator == "isnullorundefined":
        return not there
    if operator == "isnotnull":
        return there
    kind, negative, compare = _OPERATORS[operator]
    if not there:
        return operator in ("numbernotin", "stringnotin", "numbernotinrange")
    if isinstance(found, list) and not arrays:
        return False
    given = found if isinstance(found, list) else [found]
    attribute = "." not in str(one["key"])
    candidates = [value for value in (_typed(kind, one, attribute=attribute) for one in given) if value is not _MISSING]
    references = one["values"] if "values" in one else [one["value"]]
    against = [_reference(kind, reference) for reference in references]
    some = any(compare(candidate, reference) for candidate in candidates for reference in against)
    return not some if negative else some


def lookup(event: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return what stands in an event under a key such as `data.ModelTags.stage`.

    Names are compared without regard to case where none is written exactly so.
    """
    parts = key.split(".")
    for name in (parts[0], *_ALIASES.get(parts[0].lower(), ())):
        found = _member(event, name)
        if found is not _MISSING:
            break
    else:
        return default
    for part in parts[1:]:
        found = _member(found, part) if isinstance(found, dict) else _MISSING
        if found is _MISSING:
            return default
    return found


def check_filter(filter_: Mapping[str, Any]) -> None:
    """Let filters through that Event Grid knows, within its limits.

    Raises:
        Refused: Too many filters or values, too long a value, an operator that there is not, or values not of its kind.
    """
    advanced: Sequence[Mapping[str, Any]] = filter_.get("advancedFilters") or filter_.get("filters") or ()
    if len(advanced) > MOST_FILTERS:
        raise invalid(f"Advanced filtering is limited to {MOST_FILTERS} advanced filters per event grid subscription.")
    number = 0
    for one in advanced:
        operator = str(one.get("operatorType", ""))
        if operator.lower() in ("isnullorundefined", "isnotnull"):
            continue
        if operator.lower() not in _OPERATORS:
            raise invalid(f"The advanced filter operator type '{operator}' is not supported.")
        if not one.get("key"):
            raise invalid("The key of an advanced filter must be given.")
        values = one["values"] if isinstance(one.get("values"), list) else [one.get("value")]
        number += len(values)
        kind = _OPERATORS[operator.lower()][0]
        if not values or not all(_is_reference(kind, value) for value in values):
            raise invalid(f"The values of the advanced filter on '{one['key']}' do not fit the operator {operator}.")
        if any(isinstance(value, str) and len(value) > LONGEST_VALUE for value in values):
            raise invalid(f"Advanced filtering is limited to {LONGEST_VALUE} characters per string value.")
    if number > MOST_VALUES:
        raise invalid(
            f"Advanced filtering is limited to {MOST_VALUES} filter values across all the filters per event grid "
            "subscription."
        )


def invalid(message: str) -> Refused:
    """Return the refusal of a request that is not as it must be."""
    return Refused("INVALID_ARGUMENT", message, reason="InvalidRequest")


def _subject_fits(filter_: Mapping[str, Any], subject: str) -> bool:
    begins, ends = filter_.get("subjectBeginsWith") or "", filter_.get("subjectEndsWith") or ""
    if not filter_.get("isSubjectCaseSensitive"):
        subject, begins, ends = subject.lower(), begins.lower(), ends.lower()
    return subject.startswith(begins) and subject.endswith(ends)


def _member(content: Mapping[str, Any], name: str) -> Any:
    if name in content:
        return content[name]
    return next((value for key, value in content.items() if key.lower() == name.lower()), _MISSING)


def _typed(kind: str, value: Any, *, attribute: bool) -> Any:
    """Return a value as filters of a kind compare it; what is of another kind is missing.

    A CloudEvent's attribute that is a number is also known by its text, as the documentation's example has it.
    """
    if kind == "string":
        if attribute and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return value.lower() if isinstance(value, str) else _MISSING
    if kind == "bool":
        return value if isinstance(value, bool) else _MISSING
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else _MISSING


def _reference(kind: str, value: Any) -> Any:
    if kind == "range":
        return tuple(Decimal(str(bound)) for bound in value)
    return _typed(kind, value, attribute=False)


def _is_reference(kind: str, value: Any) -> bool:
    if kind == "range":
        return isinstance(value, list) and len(value) == 2 and all(_is_reference("number", one) for one in value)
    return _typed(kind, value, attribute=False) is not _MISSING


def _within(value: Any, bounds: Any) -> bool:
    return bool(bounds[0] <= value <= bounds[1])


_POSITIVE: Final[Mapping[str, tuple[str, Comparison]]] = {
    "numberin": ("number", lambda value, wanted: bool(value == wanted)),
    "numberinrange": ("range", _within),
    "stringin": ("string", lambda value, wanted: bool(value == wanted)),
    "stringbeginswith": ("string", lambda value, wanted: bool(value.startswith(wanted))),
    "stringendswith": ("string", lambda value, wanted: bool(value.endswith(wanted))),
    "stringcontains": ("string", lambda value, wanted: wanted in value),
}
_NEGATIVE: Final = {
    "numbernotin": "numberin",
    "numbernotinrange": "numberinrange",
    "stringnotin": "stringin",
    "stringnotbeginswith": "stringbeginswith",
    "stringnotendswith": "stringendswith",
    "stringnotcontains": "stringcontains",
}
_OPERATORS: Final[Mapping[str, tuple[str, bool, Comparison]]] = {
    **{name: (kind, False, compare) for name, (kind, compare) in _POSITIVE.items()},
    **{name: (_POSITIVE[of][0], True, _POSITIVE[of][1]) for name, of in _NEGATIVE.items()},
    "numberlessthan": ("number", False, lambda value, wanted: bool(value < wanted)),
    "numbergreaterthan": ("number", False, lambda value, wanted: bool(value > wanted)),
    "numberlessthanorequals": ("number", False, lambda value, wanted: bool(value <= wanted)),
    "numbergreaterthanorequals": ("number", False, lambda value, wanted: bool(value >= wanted)),
    "boolequals": ("bool", False, lambda value, wanted: bool(value == wanted)),
}
"""By the operator in lower case: the kind of its values, whether it is a negation, and what is compared."""
