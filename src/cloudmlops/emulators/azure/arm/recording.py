"""What of a request is kept in the record of calls, which anybody on this machine may read: no secrets."""

from __future__ import annotations

from typing import Any, Final

from cloudmlops.emulators.core.answering import Asked

HIDDEN: Final = "(hidden)"
_SECRETS: Final = frozenset(("accountkey", "clientsecret", "keyvalue", "password", "sastoken", "secrets"))
_ADDRESSES: Final = frozenset(("endpointurl", "endpointbaseurl"))
"""Those of webhooks: a query may hold the key by which Event Grid proves itself."""


def recorded(asked: Asked) -> dict[str, Any]:
    """Return the query, and a body that is JSON."""
    kept: dict[str, Any] = {"query": dict(asked.query)}
    if asked.body and "json" in asked.headers.get("content-type", ""):
        kept["body"] = without_secrets(asked.json())
    return kept


def without_secrets(value: Any) -> Any:
    """Return JSON with `HIDDEN` for what is secret.

    >>> without_secrets({"keyType": "Primary", "keyValue": "abc"})
    {'keyType': 'Primary', 'keyValue': '(hidden)'}
    """
    if isinstance(value, dict):
        secret = frozenset({"value"} if value.get("isSecret") is True else ())
        return {key: _shown(key, each, secret) for key, each in value.items()}
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    return value


def _shown(key: str, value: Any, secret: frozenset[str]) -> Any:
    if key.lower() in _SECRETS or key in secret:
        return HIDDEN
    if key.lower() in _ADDRESSES and isinstance(value, str) and "?" in value:
        return f"{value.partition('?')[0]}?{HIDDEN}"
    return without_secrets(value)
