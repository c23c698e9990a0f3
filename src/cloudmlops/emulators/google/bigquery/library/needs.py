"""Which functions of the library a statement needs, with those that they are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, wraps
from importlib import import_module
from typing import Any, Final, cast

import duckdb
from duckdb.func import FunctionNullHandling

from cloudmlops.emulators.google.bigquery.library.definitions import PythonFunction
from cloudmlops.emulators.google.bigquery.library.macros import LIBRARY

_SPECIAL: Final = FunctionNullHandling.SPECIAL

_NAME: Final = re.compile(r"__[a-z][a-z0-9_]*", re.IGNORECASE)
_FORM: Final = re.compile(r"__\d+$")


def needed(sql: str, known: set[str]) -> Iterator[str]:
    """Give the names of the functions that `sql` uses and that are not known yet, what they need before them.

    Args:
        sql: In DuckDB's words.
        known: The names that are there already; those that are given are added.
    """
    for written in _NAME.findall(sql):
        name = _FORM.sub("", written.lower())
        if name in known or name not in LIBRARY:
            continue
        known.add(name)
        body = LIBRARY[name]
        if isinstance(body, str):
            yield from needed(body, known)
        yield name


@cache
def _function(body: PythonFunction) -> Callable[..., Any]:
    """What DuckDB is to call; kept for ever, since DuckDB does not keep it."""
    module, attribute = body.place.split(":")
    function = getattr(import_module(module), attribute)
    if body.takes_nulls:
        return cast("Callable[..., Any]", function)

    @wraps(function)
    def called(*values: Any) -> Any:
        return None if None in values else function(*values)

    return called


def define(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Make a function of the library known to a database."""
    body = LIBRARY[name]
    if isinstance(body, PythonFunction):
        # By default DuckDB does not let a function give NULL for what is not.
        cursor.create_function(name, _function(body), list(body.takes), body.gives, null_handling=_SPECIAL)
    else:
        cursor.execute(body)
