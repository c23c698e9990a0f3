"""How a model's container is started."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.google.aiplatform.images import Images

_REFERENCE: Final = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_]*)\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One container as it is to be started."""

    command: Sequence[str]
    environment: Mapping[str, str]


def launch(images: Images, spec: Any, environment: Mapping[str, str]) -> Launch:
    """Return how a `ModelContainerSpec` is started.

    As in Kubernetes, `command` takes the place of the image's entrypoint, `args` follow, and `$(NAME)` in both, and in
    `env`, is the value of a variable.
    """
    variables = dict(environment)
    for variable in spec.env:
        variables[variable.name] = _filled(variable.value, variables)
    command, arguments = ([_filled(part, variables) for part in parts] for parts in (spec.command, spec.args))
    return Launch(
        command=images.command(spec.image_uri, command, arguments),
        environment=images.environment(spec.image_uri, variables),
    )


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        escaped, name = found.groups()
        return f"$({name})" if escaped else variables.get(name, found[0])

    return _REFERENCE.sub(value, text)
