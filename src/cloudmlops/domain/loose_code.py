"""The content of functions that no source file gives: typed in an interactive session, or made within a function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final

from cloudmlops.domain.source import module_source

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, type(...))


def is_loose(function: Callable[..., object]) -> bool:
    """Say whether a function's source file, if it has one, does not say all that it is."""
    return "<" in function.__qualname__ or module_source(function.__module__) is None


def loose_digest(function: Callable[..., object]) -> str | None:
    """Return the SHA-256 of a function's code and all that it uses; None when that cannot be told by content."""
    digest = _Digest()
    try:
        digest.take(function)
    except _UnknownContentError:
        return None
    return digest.whole.hexdigest()


class _UnknownContentError(Exception):
    """A value that is neither plain nor code."""


class _Digest:
    def __init__(self) -> None:
        self.whole = hashlib.sha256()
        self._seen: dict[int, object] = {}

    def take(self, value: Any) -> None:
        """Add one value, and what it holds."""
        if isinstance(value, _PLAIN):
            self._add(type(value).__name__, repr(value))
        elif id(value) in self._seen:
            self._add("again", str(list(self._seen).index(id(value))))
        else:
            self._seen[id(value)] = value
            self._take_composed(value)

    def _take_composed(self, value: Any) -> None:
        match value:
            case tuple() | list() if type(value) in (tuple, list):
                self._add(type(value).__name__, str(len(value)))
                for part in value:
                    self.take(part)
            case dict() if type(value) is dict:
                self._add("dict", str(len(value)))
                for key, part in value.items():
                    self.take(key)
                    self.take(part)
            case set() | frozenset() if all(isinstance(part, _PLAIN) for part in value):
                self._add("set", repr(sorted(map(repr, value))))
            case CodeType():
                self._take_code(value)
            case ModuleType():
                self._add("module", value.__name__, _file_digest(value.__name__))
            case BuiltinFunctionType():
                self._add("builtin", value.__module__ or "", value.__qualname__)
            case _ if isinstance(function := getattr(value, "function", value), FunctionType):
                self._take_function(function)
            case type() if module_source(value.__module__) is not None or value.__module__ == "builtins":
                self._add("type", value.__module__, value.__qualname__, _file_digest(value.__module__))
            case type() if issubclass(value, tuple) and hasattr(value, "_fields"):
                self._add("named tuple", value.__qualname__, *value._fields)
            case _:
                raise _UnknownContentError

    def _take_function(self, function: FunctionType) -> None:
        self._add("function", function.__qualname__)
        if not is_loose(function):
            self._add(function.__module__, _file_digest(function.__module__))
            return
        self.take(function.__code__)
        self.take(function.__defaults__)
        self.take(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError as error:  # not filled yet
                raise _UnknownContentError from error
            self.take(held)
        if module_source(function.__module__) is None:
            for name in sorted(_names(function.__code__) & function.__globals__.keys()):
                self._add("global", name)
                self.take(function.__globals__[name])

    def _take_code(self, code: CodeType) -> None:
        # Not marshal: its bytes depend on who else refers to a constant.
        self._add("code", code.co_code.hex(), str(code.co_flags), str(code.co_argcount), str(code.co_kwonlyargcount))
        self._add(*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
        self._add(getattr(code, "co_exceptiontable", b"").hex())
        self.take(code.co_consts)

    def _add(self, *texts: str) -> None:
        self.whole.update(repr(texts).encode())


def _names(code: CodeType) -> set[str]:
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*inner)


def _file_digest(module: str) -> str:
    source = module_source(module)
    return "" if source is None else hashlib.sha256(Path(source.file).read_bytes()).hexdigest()
