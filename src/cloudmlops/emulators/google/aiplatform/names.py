"""Resource names: projects by number, as the service writes them, and numbered ids."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

NAME: Final = re.compile(r"^projects/([^/]+)/locations/([^/]+)(/.*)?$")
_REGIONS: Final = """
africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-central2 europe-north1 europe-north2
europe-southwest1 europe-west1 europe-west12 europe-west2 europe-west3 europe-west4 europe-west6 europe-west8
europe-west9 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2 southamerica-east1
southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-east7 us-south1 us-west1 us-west2 us-west3 us-west4
us-west8
"""
LOCATIONS: Final = frozenset(_REGIONS.split())
"""Regions of Vertex AI as Google's SDK lists them; without `global`, which has none of what is emulated."""
_DIGITS: Final = 19
_NO_PROJECTS: Final = frozenset({"", "-", "_"})
"""What names have in the place of a project: nothing, any, and that of a bucket."""
_SUBJECTS: Final = ("name", "parent", "endpoint", "feature_view", "feature_online_store", "model")
_FREE_TEXT: Final = frozenset({"description", "display_name", "version_description", "filter", "order_by"})
"""Fields of a user's own words: what looks like a name in them is none."""


class Ids:
    """The ids that are made for one call: first those that were made for it before, in the same order."""

    def __init__(self, given: Sequence[str] = ()) -> None:
        self._given = list(given)
        self.made: list[str] = []

    def next(self) -> str:
        """Return one more."""
        made = self._given.pop(0) if self._given else _random_id()
        self.made.append(made)
        return made


_ids: ContextVar[Ids | None] = ContextVar("ids", default=None)


@contextmanager
def ids_from(ids: Ids) -> Iterator[None]:
    """Take new ids from here."""
    mark = _ids.set(ids)
    try:
        yield
    finally:
        _ids.reset(mark)


def new_id() -> str:
    """Return an id as the service makes them: digits."""
    ids = _ids.get()
    return ids.next() if ids is not None else _random_id()


def _random_id() -> str:
    return str(secrets.randbelow(9 * 10 ** (_DIGITS - 1)) + 10 ** (_DIGITS - 1))


class Projects:
    """Ids of projects and their numbers, which resource names are written with."""

    def __init__(self, state: State) -> None:
        self._numbers = state.table("project_numbers")
        self._ids = state.table("project_ids")

    def number(self, project: str) -> str:
        """Return a project's number, made up at first sight but always the same for an id."""
        if project.isdigit():
            return project
        known = self._numbers.get(project)
        if known is None:
            made = int.from_bytes(hashlib.sha256(project.encode()).digest()[:5]) % (9 * 10**11) + 10**11
            known = str(made).encode()
            self._numbers.put(project, known)
            self._ids.put(known.decode(), project.encode())
        return known.decode()

    def id(self, project: str) -> str:
        """Return a project's id; a number that no id was seen of is its own."""
        known = self._ids.get(project)
        return known.decode() if known is not None else project

    def by_id(self, name: str) -> str:
        """Write a resource's name with the project's id, as people do; any other text stays as it is."""
        return self._written(name, self.id)

    def by_number(self, name: str) -> str:
        """Write a resource's name with the project's number; any other text stays as it is."""
        return self._written(name, self.number)

    @staticmethod
    def _written(name: str, project_as: Callable[[str], str]) -> str:
        kind, _, rest = name.partition("/")
        project, slash, below = rest.partition("/")
        if kind != "projects" or project in _NO_PROJECTS:
            return name
        return f"projects/{project_as(project)}{slash}{below}"

    def canonical(self, name: str) -> str:
        """Write a resource name as the service does; any other text stays as it is.

        Raises:
            Refused: There is no such location.
        """
        found = NAME.match(name)
        if found is None or (found[3] or "").startswith("/keyRings/"):
            return name  # keys are Cloud KMS's
        if found[2] != "-" and found[2] not in LOCATIONS:
            raise Refused("INVALID_ARGUMENT", f"Location {found[2]} is not supported by Vertex AI.")
        return f"projects/{self.number(found[1])}/locations/{found[2]}{found[3] or ''}"

    def canonicalise(self, message: Message) -> None:
        """Write all resource names in a message as the service does, in place.

        Raises:
            Refused: One names a location that does not exist.
        """
        for field, value in message.ListFields():
            if field.message_type is not None and field.message_type.full_name.startswith("google.protobuf."):
                continue  # what a user sent as free content
            if field.type == field.TYPE_STRING and not _is_map(field) and field.name not in _FREE_TEXT:
                self._texts(message, field, value)
            elif field.message_type is not None and not _is_map(field):
                for inner in value if field.is_repeated else (value,):
                    self.canonicalise(inner)

    def _texts(self, message: Any, field: Any, value: Any) -> None:
        if field.is_repeated:
            for place, text in enumerate(value):
                if text.startswith("projects/"):
                    value[place] = self.canonical(text)
        elif value.startswith("projects/"):
            setattr(message, field.name, self.canonical(value))


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def location_of(name: str) -> str:
    """Return `projects/P/locations/L` of a resource's name."""
    return "/".join(name.split("/")[:4])


def subject_of(request: Any) -> str:
    """Return the resource that a request names, itself or in the message that it is to be changed to."""
    for field in _SUBJECTS:
        if isinstance(value := getattr(request, field, None), str) and value:
            return value
    for field, value in request.ListFields():
        if field.message_type is not None and isinstance(name := getattr(value, "name", None), str) and name:
            return name
    return ""


def parent_of(name: str) -> str:
    """Return the name of what a resource lies in."""
    return name.rsplit("/", 2)[0]
