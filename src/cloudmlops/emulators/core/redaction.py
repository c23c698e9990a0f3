"""What is shown of a call to anybody on this machine: names and ids, but no secrets.

A secret is found by the name that it has, wherever in a request it stands, and within texts by its form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "(hidden)"
_SECRET: Final = re.compile(
    r"key|secret|passw|pwd|token|credential|signature|authorization|cookie|connectionstring|^(sig|pat)$"
)
_HARMLESS: Final = re.compile(
    r"(type|types|name|names|id|ids|ur[il]|version|columns?|time|times|expiry|size|mode|policy)$"
    r"|^\W*(next)?(page|skip|continuation)token$|^(start|end)?rowkeys?$|key(closed|open)$"
)
"""Names of what tells of a secret, or has but the same word in it: `keyType`, `kmsKeyName`, `pageToken`, `rowKey`."""
_ENVIRONMENTS: Final = frozenset({"secrets", "environmentvariables", "env"})
"""Under these every value is a secret, whatever its own name is."""
_KINDS: Final = frozenset({"secretstype", "credentialstype"})
_PARAMETERS: Final = (
    r"sig|aeg-sas-key|aeg-sas-token|x-goog-signature|x-amz-signature|signature|(?:access_|id_|refresh_)?token|pwd"
    r"|client_secret|client_assertion|password|secret|api[-_]?key|accountkey|sharedaccess(?:key|signature)"
)
_FORMS: Final = (
    (re.compile(r"(?i)\b(https?://)[^/\s@?#\"'<>]+@"), rf"\g<1>{HIDDEN}@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s@:?#\"'<>]*:)[^/\s@?#\"'<>]+@"), rf"\g<1>{HIDDEN}@"),
    (re.compile(rf"(?i)((?:(?<!\w)(?:{_PARAMETERS})|(?<=[?&;])(?:code|key))=)[^&;\s\"'<>#]+"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"(?i)\b((?:bearer|basic|sharedkey|sharedaccesssignature)\s+)[^\s\"'<>]{4,}"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\bya29\.[\w.-]+"), HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
)


def without_secrets(value: Any) -> Any:
    """Return JSON with `HIDDEN` for what is secret.

    >>> without_secrets({"keyType": "Primary", "keyValue": "abc"})
    {'keyType': 'Primary', 'keyValue': '(hidden)'}
    >>> without_secrets({"modelUri": "https://a.blob.core.windows.net/c/x?sv=2024&sig=abc"})
    {'modelUri': 'https://a.blob.core.windows.net/c/x?sv=2024&sig=(hidden)'}
    """
    if isinstance(value, str):
        return _without_forms(value)
    if isinstance(value, Mapping):
        return _without_pair(value) if "value" in value else {key: _shown(key, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value


def _without_pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given as a name, or a key, and its value."""
    by = "name" if "name" in pair else "key"
    secret = pair.get("isSecret") is True or _is_secret(str(pair.get(by, "")))
    return {
        key: _hidden(each) if key == "value" and secret else without_secrets(each) if key == by else _shown(key, each)
        for key, each in pair.items()
    }


def _shown(key: str, value: Any) -> Any:
    plain, structured = _plain(key), isinstance(value, Mapping | list | tuple)
    if structured and plain in _ENVIRONMENTS:
        return _hidden(value)
    if plain == "query" and isinstance(value, Mapping) and "code" in value:
        return {**without_secrets(value), "code": HIDDEN}
    if not _is_secret(key):
        return without_secrets(value)
    if not isinstance(value, Mapping):
        return [_shown(key, each) for each in value] if structured else _hidden(value)
    if "value" in value:
        return {**without_secrets(value), "value": _hidden(value["value"])}
    if "credential" in plain:
        return {each: _shown(each, one) if _is_harmless(each) else _hidden(one) for each, one in value.items()}
    return without_secrets(value)


def _hidden(value: Any) -> Any:
    """Return JSON of which only the names are left, also those of a list of names and values."""
    if isinstance(value, Mapping):
        return {key: each if _plain(key) in _KINDS else _hidden(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [{**_hidden(each), **_name(each)} if isinstance(each, Mapping) else _hidden(each) for each in value]
    return HIDDEN if isinstance(value, str) and value else value


def _name(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": pair["name"]} if "name" in pair else {}


def _is_secret(key: str) -> bool:
    return _SECRET.search(_plain(key)) is not None and not _is_harmless(key)


def _is_harmless(key: str) -> bool:
    return _HARMLESS.search(_plain(key)) is not None


def _plain(key: str) -> str:
    return re.sub(r"[-_ ]", "", key).lower()


def _without_forms(text: str) -> str:
    for form, shown in _FORMS:
        text = form.sub(shown, text)
    return text
