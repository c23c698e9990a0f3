"""Who there is: users, service principals, managed identities and groups, from a file that people write.

    tenant = "contoso"

    [[principals]]
    name = "trainer"
    kind = "ServicePrincipal"          # or User, ManagedIdentity; or Group, with members = ["trainer"]
    secret = "only-for-tests"
    roles = ["AzureML Data Scientist"] # at `scope`, or at the subscription
    scope = "/subscriptions/S/resourceGroups/G"

The first one is who programs log in as: a service principal with a secret, or with a certificate whose private key they
have. What the file leaves out is derived from the names: the same file always gives the same ids.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("5f0b6a0e-7f4e-4d0c-9c52-8f2d5a8f6c11")
GROUP: Final = "Group"
KINDS: Final = ("ServicePrincipal", "User", "ManagedIdentity", GROUP)
DEFAULT_TENANT: Final = "emulated"
DEFAULT_NAME: Final = "owner"
SERVING_NAME: Final = "serving"
"""Of the user-assigned identity that endpoints act as where no file says who there is."""
_TEXTS: Final = ("name", "kind", "client_id", "object_id", "secret", "certificate", "scope")
_LISTS: Final = ("roles", "members")


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Somebody who can have a role and, but for groups, a token."""

    name: str
    kind: str
    """One of `KINDS`."""
    client_id: str
    """The application's id; for users the id of the program that they use."""
    object_id: str
    """What role assignments name."""
    secret: str = ""
    """Of a service principal; empty when it has none."""
    certificate: str = ""
    """A certificate in PEM that signs its assertions; empty when it has none."""
    roles: tuple[str, ...] = ()
    """Names of roles that it has from the start."""
    scope: str = ""
    """Where it has them; empty is wherever there is something."""
    members: tuple[str, ...] = ()
    """Of a group: the names of who is in it, groups too."""
    resource: str = ""
    """Id of the resource whose system-assigned identity it is; empty of all others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """A tenant and all who are in it."""

    tenant: str
    """Its id."""
    principals: tuple[Principal, ...]

    def by_client(self, client_id: str) -> Principal | None:
        """Return the application with an id."""
        known = (one for one in self.principals if one.kind != GROUP)
        return next((one for one in known if one.client_id == client_id.lower()), None)

    def by_object(self, object_id: str) -> Principal | None:
        """Return whoever has an object id."""
        return next((one for one in self.principals if one.object_id == object_id.lower()), None)

    def acting(self, object_id: str) -> frozenset[str]:
        """Return the object ids that count as somebody: his own, and those of groups that he is in."""
        found = {object_id.lower()}
        while True:
            names = {one.name for one in self.principals if one.object_id in found}
            more = {one.object_id for one in self.principals if names & set(one.members)} - found
            if not more:
                return frozenset(found)
            found |= more

    def by_name(self, name: str) -> Principal:
        """Return whoever has a name.

        Raises:
            LookupError: Nobody has.
        """
        for one in self.principals:
            if one.name == name:
                return one
        raise LookupError(f"nobody is called {name!r}: there are {', '.join(one.name for one in self.principals)}")


def default_directory() -> Directory:
    """Return a tenant of an owner, who may do all, of a guest, whom roles can be given to, and an identity that serves.

    To own an account is not to be let at its data: the owner has that role, too. The identity that serves is given its
    roles with each workspace, as a platform team's Terraform does it.
    """
    roles = ["Owner", "Storage Blob Data Contributor"]
    return directory(
        {
            "principals": [
                {"name": DEFAULT_NAME, "secret": "emulated", "roles": roles},
                {"name": "guest", "kind": "User"},
                {"name": SERVING_NAME, "kind": "ManagedIdentity"},
            ]
        }
    )


def load_directory(file: Path) -> Directory:
    """Read a file of principals.

    Raises:
        ValueError: It is malformed; the message has all faults.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file} is not TOML: {error}") from error
    return _checked(content, [*_faults(content), *_faults_of_first(content)])


def directory(content: Mapping[str, Any]) -> Directory:
    """Make a directory of what a file says.

    Raises:
        ValueError: It is malformed; the message has all faults.
    """
    return _checked(content, _faults(content))


def _checked(content: Mapping[str, Any], faults: Sequence[str]) -> Directory:
    if faults:
        raise ValueError("the principals are malformed: " + "; ".join(faults))
    tenant = str(content.get("tenant", DEFAULT_TENANT))
    tenant_id = tenant if _is_uuid(tenant) else derived_id("tenant", tenant)
    return Directory(tenant=tenant_id, principals=tuple(_principal(one, tenant_id) for one in _given(content)))


def _faults(content: Mapping[str, Any]) -> list[str]:
    given = _given(content)
    names = [str(one.get("name", "")) for one in given]
    faults = [f"unknown key {key!r}" for key in sorted(set(content) - {"tenant", "principals"})]
    if given != content.get("principals", []):
        faults.append("principals are tables: [[principals]]")
    faults += [f"principals[{at}] has no name" for at, name in enumerate(names) if not name]
    faults += [
        f"{name!r} is there twice" for name in sorted({name for name in names if name and names.count(name) > 1})
    ]
    for at, one in enumerate(given):
        who = repr(one["name"]) if "name" in one else f"principals[{at}]"
        faults += [f"{who}: {fault}" for fault in _faults_of_one(one, names)]
    return faults


def _faults_of_one(one: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    kind, members = one.get("kind", KINDS[0]), one.get("members", [])
    yield from (f"unknown key {key!r}" for key in sorted(set(one) - {*_TEXTS, *_LISTS}))
    yield from (f"{key} is a text, not {one[key]!r}" for key in _TEXTS if not isinstance(one.get(key, ""), str))
    yield from (f"{key} is a list of texts, not {one[key]!r}" for key in _LISTS if not _are_texts(one.get(key, [])))
    if _are_texts(members):
        yield from (f"there is no {name!r}" for name in members if name not in names)
    if members and kind != GROUP:
        yield f"only a {GROUP} has members"
    if isinstance(kind, str) and kind not in KINDS:
        yield f"kind is one of {', '.join(KINDS)}, not {kind!r}"


def _faults_of_first(content: Mapping[str, Any]) -> list[str]:
    """Programs are told to be the first of a file: it is one who can prove who it is."""
    given = _given(content)
    if not given:
        return ["nobody is in it: at least one is wanted, as whom programs log in"]
    first, who = given[0], repr(given[0].get("name", "principals[0]"))
    if (kind := first.get("kind", KINDS[0])) in KINDS[1:]:
        return [f"{who} is the first one, as whom programs log in, and a {kind}: begin with a {KINDS[0]} with a secret"]
    if not first.get("secret") and not first.get("certificate"):
        return [f"{who} is the first one, as whom programs log in, and has no secret: give it one"]
    return []


def _given(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = content.get("principals", [])
    return [one for one in given if isinstance(one, Mapping)] if isinstance(given, Sequence) else []


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def derived_id(kind: str, name: str) -> str:
    """Return the id that something has which was given none."""
    return str(uuid5(_NAMESPACE, f"{kind}/{name}"))


def _principal(given: Mapping[str, Any], tenant: str) -> Principal:
    name = str(given["name"])
    return Principal(
        name=name,
        kind=str(given.get("kind", KINDS[0])),
        client_id=str(given.get("client_id", derived_id("client", f"{tenant}/{name}"))).lower(),
        object_id=str(given.get("object_id", derived_id("object", f"{tenant}/{name}"))).lower(),
        secret=str(given.get("secret", "")),
        certificate=str(given.get("certificate", "")),
        roles=tuple(given.get("roles", ())),
        scope=str(given.get("scope", "")),
        members=tuple(given.get("members", ())),
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
