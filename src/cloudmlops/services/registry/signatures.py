"""A model's signature in MLflow's description of it: JSON inside YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cloudmlops.errors import InvalidRequestError

_PARTS: Final = ("inputs", "outputs", "params")


def read_signature(description: bytes, path: Path) -> Mapping[str, object]:
    """Return inputs, outputs and params of the description that lies at `path`; empty when it has no signature."""
    return _parsed(_described(description, path))


def with_signature(path: Path, signature: object) -> bytes:
    """Return the description at `path` with a signature, which is an mlflow `ModelSignature` or a mapping of its parts.

    Raises:
        InvalidRequestError: The signature is not one, or the description has another.
    """
    data = path.read_bytes()
    body = _described(data, path)
    wanted = _written(signature)
    known = _parsed(body)
    if known == {part: json.loads(text) for part, text in wanted.items()}:
        return data
    if known:
        raise InvalidRequestError(
            f"{path} has another signature than the given one", hint="Give none, or save the model with the right one."
        )
    import yaml

    text: str = yaml.safe_dump(body | {"signature": wanted}, sort_keys=False)
    return text.encode()


def _described(data: bytes, path: Path) -> dict[str, Any]:
    import yaml  # here, because only registering reads it

    try:
        body = yaml.safe_load(data)
        _parsed(body or {})
    except (yaml.YAMLError, ValueError, AttributeError) as error:
        raise InvalidRequestError(
            f"{path} cannot be read: {error}", hint="Save the model again with mlflow.*.save_model."
        ) from error
    return body or {}


def _parsed(body: Mapping[str, Any]) -> Mapping[str, object]:
    written = body.get("signature") or {}
    return {part: json.loads(value) for part, value in written.items() if isinstance(value, str)}


def _written(signature: object) -> Mapping[str, str]:
    to_dict = getattr(signature, "to_dict", None)
    given = to_dict() if callable(to_dict) else signature
    if not isinstance(given, Mapping) or (unknown := [part for part in given if part not in _PARTS]):
        about = ", ".join(map(repr, unknown)) if isinstance(given, Mapping) else type(signature).__name__
        raise InvalidRequestError(
            f"the signature is not one: {about}",
            hint="Give an mlflow ModelSignature, or a mapping with inputs, outputs and params.",
        )
    try:
        texts = {part: value if isinstance(value, str) else json.dumps(value) for part, value in given.items() if value}
        for text in texts.values():
            json.loads(text)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"the signature is not JSON: {error}", hint="Write it as MLflow does: a list of columns."
        ) from error
    return texts
