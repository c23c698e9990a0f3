"""The tree of errors: complete in its picture, and whole across a process boundary."""

import inspect
import pickle
from datetime import timedelta
from typing import Any

import pytest

from cloudmlops import errors

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.CloudMLOpsError) and kind.__module__ == errors.__name__
]

DETAILS: dict[str, Any] = {
    "hint": "do this",
    "faults": ("one", "two"),
    "provider": "local",
    "operation": "models.get",
    "resource": "churn@3",
    "request_id": "7",
    "retryable": True,
    "retry_after": timedelta(seconds=3),
    "run": "run-1",
    "deployment": "v1",
}


def arguments(kind: type[errors.CloudMLOpsError]) -> dict[str, Any]:
    """Return a value for each keyword that `kind` or one of its bases takes."""
    taken = {
        name
        for base in kind.__mro__
        if issubclass(base, errors.CloudMLOpsError) and "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return {name: DETAILS[name] for name in sorted(taken)}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_an_error_crosses_a_process_boundary_with_all_its_attributes(kind: type[errors.CloudMLOpsError]) -> None:
    given = arguments(kind)
    error = kind("what happened", **given)
    error.add_note("where it happened")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert copy.args == error.args
    assert str(copy) == str(error)
    assert {name: getattr(copy, name) for name in given} == given


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_an_error_tells_what_happened_and_then_what_to_do(kind: type[errors.CloudMLOpsError]) -> None:
    lines = str(kind("what happened", **arguments(kind))).splitlines()

    assert lines[0] == "what happened"
    assert lines[-1] == "  do this"


def test_the_picture_of_the_tree_shows_every_error_under_its_parent() -> None:
    picture = inspect.getdoc(errors) or ""

    for kind in KINDS:
        builtins = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
        shown = f"{kind.__name__}({builtins[0]})" if builtins else kind.__name__
        assert shown in picture, f"draw {shown} in the docstring of errors.py"


def test_every_error_says_in_a_docstring_what_it_means() -> None:
    assert [kind.__name__ for kind in KINDS if not kind.__doc__] == []
