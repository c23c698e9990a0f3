"""Access keys of topics and namespaces, and the signatures that are made with them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Container, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from cloudmlops.emulators.core.state import State

NAMES: Final = ("key1", "key2")
_BYTES: Final = 32
_FORMATS: Final = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S")


class Keys:
    """Two keys for each resource, made when they are first asked for."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept = state.table("eventgrid_keys")

    def of(self, resource: str) -> dict[str, str]:
        """Return both keys of a resource."""
        with self._state.transaction():
            data = self._kept.get(resource.lower())
            if data is not None:
                known: dict[str, str] = json.loads(data)
                return known
            made = {name: _new() for name in NAMES}
            self._kept.put(resource.lower(), json.dumps(made).encode())
            return made

    def renew(self, resource: str, name: str) -> dict[str, str]:
        """Make a key anew; return both."""
        with self._state.transaction():
            keys = {**self.of(resource), name: _new()}
            self._kept.put(resource.lower(), json.dumps(keys).encode())
            return keys

    def forget(self, resource: str) -> None:
        """Remove the keys of a resource, and of all that lies in it."""
        self._kept.delete(resource.lower())
        for key, _ in self._kept.items(f"{resource.lower()}/"):
            self._kept.delete(key)

    def fits(self, resource: str, key: str) -> bool:
        """Say whether a key is one of a resource's."""
        return any(hmac.compare_digest(one.encode(), key.encode()) for one in self.of(resource).values())

    def signed(self, resource: str, token: str, *, hosts: Container[str], now: datetime) -> bool:
        """Say whether a token is signed with a key of a resource, for one of its hosts, and still good.

        Args:
            resource: Its id.
            token: Such as `r=…&e=…&s=…`.
            hosts: Where the resource answers.
            now: When it must still be good.
        """
        unsigned, _, _ = token.rpartition("&s=")
        parts = dict(parse_qsl(token))
        until = _moment(parts.get("e", ""))
        if urlsplit(parts.get("r", "")).hostname not in hosts or until is None or until <= now:
            return False
        given = parts.get("s", "")
        return any(hmac.compare_digest(_signature(key, unsigned), given) for key in self.of(resource).values())


def is_key(key: str) -> bool:
    """Say whether a text can be a key at all."""
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def key_list(keys: Mapping[str, str]) -> dict[str, str]:
    """Return what `listKeys` answers."""
    return {name: keys[name] for name in NAMES}


def _signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()


def _moment(text: str) -> datetime | None:
    found = None
    for form in _FORMATS:
        with suppress(ValueError):
            found = datetime.strptime(text, form).replace(tzinfo=UTC)
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
    return found.replace(tzinfo=found.tzinfo or UTC) if found is not None else None


def _new() -> str:
    return base64.b64encode(os.urandom(_BYTES)).decode()
