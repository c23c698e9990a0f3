"""What runs for a container image: no container engine is assumed, so an image stands for a command of this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_SERVING: Final = (sys.executable, "-P", "-m", "cloudmlops.serving")
_REFERENCE: Final = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_]*)\)")
_PYTHONS: Final = frozenset({"python", "python3"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One container as it is to be started."""

    command: Sequence[str]
    environment: Mapping[str, str]


class Images:
    """Patterns of images and the commands that they stand for; the latest that fits counts."""

    def __init__(self) -> None:
        self._commands: list[tuple[str, tuple[str, ...]]] = [
            ("*/cloudmlops/serving*", _SERVING),
            ("*cloudmlops-serving*", _SERVING),
        ]

    def add(self, pattern: str, command: Sequence[str]) -> None:
        """Let images that match `pattern`, with `*`, stand for a command: their entrypoint."""
        self._commands.append((pattern, tuple(command)))

    def command(self, image: str) -> tuple[str, ...]:
        """Return an image's command.

        Raises:
            Refused: None is known.
        """
        for pattern, command in reversed(self._commands):
            if fnmatchcase(image, pattern):
                return command
        known = ", ".join(pattern for pattern, _ in self._commands)
        raise Refused("UNIMPLEMENTED", f"The image {image} is not emulated: no command stands for it (known: {known}).")


def launch(images: Images, spec: Any, environment: Mapping[str, str]) -> Launch:
    """Return how a `ModelContainerSpec` is started.

    As in Kubernetes, `command` takes the place of the image's entrypoint, `args` follow, and `$(NAME)` in both, and in
    `env`, is the value of a variable.
    """
    variables = dict(environment)
    for variable in spec.env:
        variables[variable.name] = _filled(variable.value, variables)
    entry = [_filled(part, variables) for part in spec.command] or list(images.command(spec.image_uri))
    if entry[0] in _PYTHONS:
        entry[0] = sys.executable
    return Launch(command=[*entry, *(_filled(part, variables) for part in spec.args)], environment=variables)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        escaped, name = found.groups()
        return f"$({name})" if escaped else variables.get(name, found[0])

    return _REFERENCE.sub(value, text)
