"""Every verb by who has one built-in role of Azure at one scope: what is missing, and what happens, as the role says.

The other half of what verbs need is given besides: to who has a role for resources, the data; to who has one for data,
the resources. What roles grant is read from their definitions and matched by the standard library's patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path

import pytest

from cloudmlops import Entity, FeatureView, Platform, TableSource, connect
from cloudmlops.domain.access import Permission
from cloudmlops.domain.events import DriftDetected
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.rbac.roles import BUILT_IN, Role
from cloudmlops.errors import NotFoundError, PermissionDeniedError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping.access import Where, is_data, permissions_of
from cloudmlops.providers.azureml.scopes import Scopes
from cloudmlops.testing.contract.models import written_model

from .conftest import GROUP, Opened
from .custom_roles import SEEING, role_of
from .steps.pipelines import single

AIRPORT = Entity("airport", keys={"origin": str})
AT_TIMES = ("/models/read", "/environments/read", "/blobs/delete")
"""Actions that only some calls need."""
ROLES = [role.name for role in BUILT_IN]
PLACES = ("subscription", "resource group", "workspace", "storage account")
Granted = Sequence[tuple[Role, str]]
"""Roles, and where they were given."""
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
Act = Callable[[Platform], object]


def acts(folder: Path) -> Mapping[str, Act]:
    """Return what is really done: verbs that are quick, reading and writing, of each noun."""
    artifact = written_model(folder / "model")
    drifted = DriftDetected(platform="any", time=WHEN, subject="s", metric="psi", value=0.3, threshold=0.2)
    return {
        "models.get": lambda at: at.models.get("churn", "1"),
        "models.list": lambda at: at.models.list("churn"),
        "models.history": lambda at: at.models.history("churn"),
        "models.register": lambda at: at.models.register("churn", artifact),
        "models.approve": lambda at: at.models.approve("churn", "1", to=Stage.STAGING, reason="good"),
        "events.list": lambda at: at.events.list(),
        "events.publish": lambda at: at.events.publish(drifted),
        "features.list": lambda at: at.features.list(),
        "features.view": lambda at: at.features.view("nothing"),
        "endpoints.status": lambda at: at.endpoints.status("nothing"),
    }


def changes(owner: Platform, folder: Path) -> Mapping[str, Act]:
    """Return what changes something, each time another thing, that the owner has made before."""
    artifact = written_model(folder / "model")
    numbers = count(1)
    owner.features.write_table("weather", [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}])

    def fresh() -> str:
        return owner.models.register("churn", artifact).version

    def view() -> FeatureView:
        source = TableSource("weather")
        return FeatureView(
            f"weather_{next(numbers)}", entity=AIRPORT, source=source, timestamp="seen_at", features={"wind": float}
        )

    return {
        "models.promote": lambda at: at.models.promote("churn", fresh(), to=Stage.CANDIDATE, reason="good"),
        "models.delete": lambda at: at.models.delete("churn", fresh(), reason="bad"),
        "features.apply": lambda at: at.features.apply([view()]),
        "pipelines.run": lambda at: at.pipelines.run(single, id=f"run-{next(numbers)}"),
    }


@dataclass(kw_only=True)
class Matrix:
    """Who is given what, and what follows from it."""

    cloud: AzureCloud
    platform: AzureMLBackends

    def __post_init__(self) -> None:
        self._worker = self.cloud.tokens.directory.by_name("worker").object_id
        scopes = Scopes(self.platform, operation="access.grant")
        self.places = {
            "subscription": f"/subscriptions/{SUBSCRIPTION}",
            "resource group": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}",
            "workspace": scopes.scope(Where.WORKSPACE),
            "storage account": scopes.scope(Where.ACCOUNT),
        }
        self.asked = {where: scopes.asked(where) for where in (Where.WORKSPACE, Where.ACCOUNT, Where.GROUP)}
        self.known = permissions_of(self.platform.settings)
        wanted = {one.name for needed in self.known.values() for one in needed}
        self._resources = role_of(self.cloud, [one for one in wanted if not is_data(one)])
        self._data = role_of(self.cloud, [one for one in wanted if is_data(one)])
        self._seeing = role_of(self.cloud, SEEING)

    def given(self, role: str, place: str, *, half: str) -> Granted:
        """Return a built-in role at a place, and what else belongs to it."""
        found = next(one for one in BUILT_IN if one.name == role)
        other = (
            (self._data, self.places["storage account"])
            if half == "resources"
            else (
                self._resources,
                self.places["resource group"],
            )
        )
        return [(found, self.places[place]), (self._seeing, self.places["resource group"]), other]

    @contextmanager
    def having(self, given: Granted) -> Iterator[None]:
        made = [self.cloud.access.assign(scope, self._worker, role)["name"] for role, scope in given]
        try:
            yield
        finally:
            for name in made:
                self.cloud.access.unassign(name)

    def lacking(self, given: Granted, verb: str) -> set[Permission]:
        """Say what of a verb's actions nobody grants."""
        return {one for one in self.known[verb] if not any(self._grants(*each, one) for each in given)}

    def _grants(self, role: Role, scope: str, permission: Permission) -> bool:
        if not f"{self.asked[Where(permission.scope)]}/".lower().startswith(f"{scope}/".lower()):
            return False
        data = is_data(permission.name)
        granted, taken = (role.data_actions, role.not_data_actions) if data else (role.actions, role.not_actions)
        name = permission.name.lower()
        return any(fnmatchcase(name, one.lower()) for one in granted) and not any(
            fnmatchcase(name, one.lower()) for one in taken
        )


@pytest.fixture
def matrix(cloud: AzureCloud, opened: Opened) -> Matrix:
    return Matrix(cloud=cloud, platform=opened())


def cases(roles: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return roles with places and the half of the rights that they are asked for."""
    return [(role, place, half) for role in roles for place in PLACES for half in ("resources", "data")]


def told(matrix: Matrix, role: str, place: str, half: str) -> list[str]:
    """Return where `check_access` says something else of a verb than the role's definition."""
    given = matrix.given(role, place, half=half)
    with matrix.having(given), connect(matrix.platform.settings.target) as platform:
        missing = platform.check_access(list(matrix.known))
    wrong = [f"{one.verb}: {one.unknown}" for one in missing if one.unknown]
    for verb in matrix.known:
        said, should = {one.permission for one in missing if one.verb == verb}, matrix.lacking(given, verb)
        wrong += [f"{role} at the {place}, {half}: {verb}: {one.name}" for one in said ^ should]
    return wrong


def test_what_is_missing_is_what_a_role_does_not_grant(matrix: Matrix, as_somebody: Callable[[str], None]) -> None:
    as_somebody("worker")
    few = [
        ("AzureML Data Scientist", "workspace", "resources"),
        ("Storage Blob Data Reader", "storage account", "data"),
    ]
    assert [wrong for case in few for wrong in told(matrix, *case)] == []


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("role", ROLES)
def test_what_is_missing_of_every_verb_is_what_a_role_at_a_scope_does_not_grant(
    matrix: Matrix, as_somebody: Callable[[str], None], role: str
) -> None:
    as_somebody("worker")
    assert [wrong for case in cases([role]) for wrong in told(matrix, *case)] == []


def done(matrix: Matrix, each: Mapping[str, Act], role: str, place: str, half: str) -> list[str]:
    """Return the verbs that were let in or refused and should not have been."""
    given = matrix.given(role, place, half=half)
    wrong = []
    with matrix.having(given):
        for verb, act in each.items():
            lacking = {one.name for one in matrix.lacking(given, verb) if not one.when}
            should = not any(not name.endswith(AT_TIMES) for name in lacking)
            with connect(matrix.platform.settings.target) as platform:
                try:
                    act(platform)
                    let_in = True
                except NotFoundError:
                    let_in = True
                except PermissionDeniedError:
                    let_in = False
            if let_in is not should:
                wrong.append(f"{role} at the {place}, {half}: {verb} lacks {sorted(lacking)}, let in: {let_in}")
    return wrong


@pytest.mark.conformance
@pytest.mark.parametrize("half", ["resources", "data"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", ROLES)
def test_a_verb_is_let_in_by_a_role_at_a_scope_as_the_role_says(
    matrix: Matrix, as_somebody: Callable[[str], None], tmp_path: Path, role: str, place: str, half: str
) -> None:
    each = acts(tmp_path)
    with connect(matrix.platform.settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "first"))
    as_somebody("worker")

    assert done(matrix, each, role, place, half) == []


@pytest.mark.conformance
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
@pytest.mark.parametrize("half", ["resources", "data"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", ["AzureML Data Scientist", "Storage Blob Data Contributor"])
def test_what_changes_something_is_let_in_by_a_role_at_a_scope_as_the_role_says(
    opened: Opened,
    cloud: AzureCloud,
    as_somebody: Callable[[str], None],
    tmp_path: Path,
    role: str,
    place: str,
    half: str,
) -> None:
    matrix = Matrix(cloud=cloud, platform=opened(environment="azureml:steps:1"))
    with connect(matrix.platform.settings.target) as owner:
        each = changes(owner, tmp_path)
        owner.models.register("churn", written_model(tmp_path / "first"))
        as_somebody("worker")

        assert done(matrix, each, role, place, half) == []
