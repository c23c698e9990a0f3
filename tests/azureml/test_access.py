"""Access on Azure ML: what is missing is told before anything is made, and roles are Entra's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloudmlops import Platform, connect
from cloudmlops.cli.doctor import doctor
from cloudmlops.domain.access import Grant, Role
from cloudmlops.domain.actors import ActorKind
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.rbac.roles import BUILT_IN
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import AuthenticationError, ConfigurationError, InvalidRequestError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.credentials import caller
from cloudmlops.providers.azureml.mapping.access import Where, permissions_of, verb_of
from cloudmlops.providers.azureml.mapping.role_parts import PARTS, in_order, parts_of, placed
from cloudmlops.providers.azureml.mapping.roles import FROM_LEAST, Definition, granted, includes, roles_with
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.providers.role_parts import roles_of, to_take
from cloudmlops.services.endpoints import Endpoints
from cloudmlops.services.events import Events
from cloudmlops.services.features import Features
from cloudmlops.services.models import Models
from cloudmlops.services.pipelines import Pipelines, Run
from cloudmlops.testing.contract.models import written_model

from .conftest import GROUP, Opened

ML = "Microsoft.MachineLearningServices/workspaces"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
ONE_FOR_BOTH = {where: where.value for where in Where} | {
    Where.FEATURE_STORE: Where.WORKSPACE.value,
    Where.FEATURE_ACCOUNT: Where.ACCOUNT.value,
}
"""Scopes where a workspace shows its own feature sets."""
NO_VERBS = {
    "endpoints.deployment",
    "endpoints.revive",
    "events.accept",
    "events.asgi",
    "events.emit",
    "events.handlers",
    "events.on",
    "models.ledger",
    "models.outbox",
    "pipelines.run_schedules",
}
"""Public, and nothing that anybody asks a cloud for: handles, registrations, and parts of other verbs."""


EVERYTHING = {
    "topic": "https://bus.westeurope-1.eventgrid.azure.net/topics/mlops",
    "event_subscription": "worker",
    "feature_store": "shown",
    "compute": "cpu",
    "compute_machine": "Standard_DS3_v2",
    "redis_url": "rediss://cache.example:6380",
    "environment": "azureml://registries/everybodys/environments/steps/versions/1",
}
"""Settings that make verbs need all that there is."""


def settings(**given: str) -> AzureMLSettings:
    return AzureMLSettings(subscription=SUBSCRIPTION, resource_group=GROUP, workspace="any", **given)  # type: ignore[arg-type]


@pytest.fixture
def platform(opened: Opened) -> Iterator[Platform]:
    with connect(opened().settings.target) as found:
        yield found


def assigned(cloud: AzureCloud, principal: str) -> set[tuple[str, str]]:
    """Return names of the roles that somebody has, and the last part of where."""
    return {
        (role.name, one["properties"]["scope"].rpartition("/")[2])
        for one in cloud.access.assignments()
        if one["properties"]["principalId"] == principal
        and (role := cloud.access.role(one["properties"]["roleDefinitionId"])) is not None
    }


def test_every_verb_of_the_five_nouns_has_its_actions() -> None:
    public = {
        f"{noun}.{name}"
        for noun, service in (
            ("endpoints", Endpoints),
            ("events", Events),
            ("features", Features),
            ("models", Models),
            ("pipelines", Pipelines),
        )
        for name, _ in inspect.getmembers(service)
        if not name.startswith("_")
    } | {f"pipelines.{act.__name__}" for act in (Run.cancel, Run.logs, Run.resume, Run.wait)}
    assert public - NO_VERBS == set(permissions_of(settings()))


def test_what_a_refusal_is_about_can_be_asked_about_before() -> None:
    sources = Path(inspect.getfile(AzureMLSettings)).parent.rglob("*.py")
    nouns = "endpoints|events|features|models|pipelines"
    operations = {
        found for source in sources for found in re.findall(rf'"((?:{nouns})\.[a-z_]+)"', source.read_text("utf-8"))
    }
    assert "models.project" in operations
    assert {operation for operation in operations if verb_of(operation) not in permissions_of(settings())} == set()


@pytest.mark.parametrize("given", [{}, EVERYTHING], ids=["none", "all"])
def test_the_roles_that_a_permission_names_have_it_where_it_is_asked(given: dict[str, str]) -> None:
    by_name, parts = {role.name: role for role in FROM_LEAST}, parts_of(settings(**given))
    for permission in {one for needed in permissions_of(settings(**given)).values() for one in needed}:
        if permission.scope in (Where.REDIS, Where.REGISTRY):
            assert permission.native_role
            continue
        assert by_name[permission.native_role].grants(permission.name)
        if permission.role is None:
            assert permission.scope == Where.GROUP
            continue
        there = [definition for where, definition in parts[permission.role] if where == permission.scope]
        assert granted(there, permission.name), permission


def test_built_in_roles_are_those_that_azure_documents() -> None:
    documented = {role.id: role for role in BUILT_IN}
    for known in FROM_LEAST:
        role = documented[known.id]
        assert known.name == role.name
        assert set(known.actions) == set(role.actions)
        assert set(known.data_actions) == set(role.data_actions)
        assert set(known.not_actions) <= set(role.not_actions)


def test_a_role_leaves_out_what_it_says_and_another_may_have_it() -> None:
    narrow = Definition(id="1", name="narrow", actions=("A/*",), not_actions=("A/write",))
    wide = Definition(id="2", name="wide", actions=("a/WRITE",))

    assert not narrow.grants("A/write")
    assert granted([narrow, wide], "A/write")
    assert not granted([narrow, wide], f"{BLOBS}/read")
    assert not Definition(id="3", name="all", actions=("*",)).grants(f"{BLOBS}/read")


def test_a_role_includes_another_only_where_it_leaves_nothing_of_it_out() -> None:
    reader, scientist, contributor = FROM_LEAST[0], FROM_LEAST[2], FROM_LEAST[-1]
    all_but_models = Definition(id="4", name="narrow", actions=("*",), not_actions=(f"{ML}/models/*",))
    all_but_writing = Definition(
        id="5", name="reading", actions=("*",), data_actions=(f"{BLOBS}/*",), not_data_actions=(f"{BLOBS}/w*",)
    )

    assert includes([contributor], reader)
    assert includes([contributor], scientist), "what it leaves out besides is none of the other's"
    assert includes([scientist], scientist), "both leave the same out"
    assert not includes([all_but_models], reader), "reading models is left out"
    assert includes([all_but_models, contributor], reader)
    assert includes([all_but_writing], FROM_LEAST[1])
    assert not includes([all_but_writing], FROM_LEAST[3])


def test_a_right_that_hangs_on_a_condition_is_told_as_not_known(opened: Opened, cloud: AzureCloud) -> None:
    who = cloud.tokens.directory.by_name("reader").object_id
    role = cloud.access.role("Storage Blob Data Reader")
    assert role is not None
    made = cloud.access.assign("/", who, role, condition="@Resource[name] StringEquals 'a'")
    reading = opened("reader")
    lacking = reading.access.lacking(reading.access.permissions["models.register"])
    cloud.access.unassign(made["name"])

    told = {one.name: lack.unknown for one, lack in lacking.items() if one.scope == Where.ACCOUNT}
    assert told[f"{BLOBS}/read"] == "assigned with a condition, which is not looked at: Storage Blob Data Reader"
    assert told[f"{BLOBS}/write"] == "", "no role grants it in any case"


def test_the_least_role_is_named_for_each_action() -> None:
    assert roles_with([f"{ML}/models/read", f"{ML}/models/versions/write", f"{BLOBS}/write"]) == [
        "Reader",
        "AzureML Data Scientist",
        "Storage Blob Data Contributor",
    ]
    assert roles_with([f"{BLOBS}/tags/write"]) == []


def test_what_is_missing_is_named_with_the_role_that_has_it(opened: Opened, cloud: AzureCloud) -> None:
    missing = opened("reader").access.permissions["models.register"]
    reader = opened("reader")

    lacking = reader.access.lacking(missing)

    assert {(one.name, one.native_role) for one in lacking} == {
        (f"{ML}/models/versions/write", "AzureML Data Scientist"),
        (f"{BLOBS}/read", "Storage Blob Data Reader"),
        (f"{BLOBS}/write", "Storage Blob Data Contributor"),
        (f"{BLOBS}/delete", "Storage Blob Data Contributor"),
    }
    workspace = reader.settings.workspace_id
    container = f"/blobServices/default/containers/{reader.place.container}"
    for one, lack in lacking.items():
        assert lack.unknown == ""
        assert lack.resource.endswith(container) if one.scope == Where.ACCOUNT else lack.resource == workspace


def test_who_may_not_see_roles_is_told_so_of_each_permission(opened: Opened) -> None:
    nobody = opened("worker")
    needed = nobody.access.permissions["models.get"]
    lacking = nobody.access.lacking(needed)

    assert set(lacking) == set(needed)
    for one, lack in lacking.items():
        seen = "datastores/read" if one.scope == Where.ACCOUNT else "Microsoft.Authorization/roleAssignments/read"
        assert re.search(rf"lacks \S*{seen}.*Granted by: Reader\.", lack.unknown), lack


def test_nothing_is_made_to_find_out(
    opened: Opened, azureml_emulator: Emulator, as_somebody: Callable[[str], None]
) -> None:
    target = opened().settings.target
    as_somebody("reader")
    with connect(target) as reading:
        azureml_emulator.calls.clear()
        assert reading.check_access(["models.register", "models.promote"])

    assert {call.operation.partition(" ")[0] for call in azureml_emulator.calls.list("arm/")} == {"GET"}
    assert azureml_emulator.calls.list("blob/") == []


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_assigned_listed_and_taken_away(
    platform: Platform, cloud: AzureCloud, workspace: str, ada: str, role: Role
) -> None:
    for _ in range(2):
        platform.access.grant(role, ada.upper())

    parts = {(definition.name, where) for where, definition in PARTS[role]}
    names = {(name, Where.WORKSPACE if where == workspace else Where.ACCOUNT) for name, where in assigned(cloud, ada)}
    assert names == parts
    assert [grant.role for grant in platform.access.list() if grant.principal == ada] == [role]

    for _ in range(2):
        platform.access.revoke(role, ada)

    assert assigned(cloud, ada) == set()
    assert ada not in [grant.principal for grant in platform.access.list()]


def test_what_another_role_needs_stays(platform: Platform, ada: str) -> None:
    platform.access.grant(Role.READER, ada)
    platform.access.grant(Role.APPROVER, ada)
    assert {grant.role for grant in platform.access.list() if grant.principal == ada} == {Role.READER, Role.APPROVER}

    platform.access.revoke(Role.READER, ada)

    assert Grant(principal=ada, role=Role.APPROVER) in platform.access.list()
    assert Grant(principal=ada, role=Role.READER) not in platform.access.list()


@pytest.mark.parametrize("given", [{}, EVERYTHING], ids=["alone", "with all there is"])
@pytest.mark.parametrize("role", list(Role))
def test_nothing_short_of_the_last_part_of_a_role_is_a_role(role: Role, given: dict[str, str]) -> None:
    made_of = parts_of(settings(**given))
    for scopes in ({where: where.value for where in Where}, ONE_FOR_BOTH):
        placed_at = placed(made_of, scopes)
        order = in_order(made_of[role], scopes)
        ids = [(scopes[where].lower(), definition.id) for where, definition in order]
        assert frozenset(ids) == placed_at[role]
        assert [roles_of(frozenset(ids[:count]), placed_at) for count in range(len(ids))] == [[]] * len(ids)


def test_a_role_that_includes_another_is_the_one_that_is_held() -> None:
    parts = placed(PARTS, {where: where.value for where in Where})
    trainer = parts[Role.TRAINER]

    assert roles_of(trainer, parts) == [Role.TRAINER]
    assert to_take(trainer, Role.DEPLOYER, parts) == frozenset()
    assert to_take(trainer, Role.TRAINER, parts) == trainer


def test_a_granted_role_suffices(
    opened: Opened, as_somebody: Callable[[str], None], cloud: AzureCloud, tmp_path: Path
) -> None:
    target = opened().settings.target
    worker = cloud.tokens.directory.by_name("worker").object_id
    with connect(target) as platform:
        platform.access.grant(Role.TRAINER, worker)
        as_somebody("worker")
        with connect(target) as training:
            assert training.check_access(["models.register"]) == ()
            version = training.models.register("churn", written_model(tmp_path / "model"))
        as_somebody("owner")
        platform.access.revoke(Role.TRAINER, worker)

    assert version.registered_by.id == worker


@pytest.mark.parametrize("principal", ["ada@example.com", "user:ada@example.com", "", "1234"])
def test_a_principal_that_is_no_object_id_is_refused_before_anything_is_asked(
    platform: Platform, azureml_emulator: Emulator, principal: str
) -> None:
    platform.actor  # noqa: B018 asked before
    azureml_emulator.calls.clear()
    for change in (platform.access.grant, platform.access.revoke):
        with pytest.raises(InvalidRequestError, match="object id in Entra"):
            change(Role.READER, principal)

    assert azureml_emulator.calls.list() == []


def roles(platform: AzureMLBackends, principal: str) -> list[Role]:
    return [one.role for one in platform.access.list() if one.principal == principal]


def put_datastore(backends: AzureMLBackends, name: str, account: str, container: str, **where: str) -> None:
    """Register a datastore as the studio does: azure-ai-ml does not say where the account is."""
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": account,
        "containerName": container,
        "credentials": {"credentialsType": "None"},
        **where,
    }
    path = f"{backends.settings.workspace_id}/datastores/{name}?api-version=2024-10-01"
    backends.wire.send("PUT", path, body={"properties": properties}, operation="test", resource=name)


def test_an_account_in_another_group_is_where_its_datastore_says(
    opened: Opened, cloud: AzureCloud, workspace: str, ada: str
) -> None:
    cloud.ensure_workspace(f"far-{workspace}", group="elsewhere")
    theirs = cloud.resources.get(
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/elsewhere/providers/{ML}/far-{workspace}"
    )
    assert theirs is not None
    account = theirs["properties"]["storageAccount"]
    store = cloud.resources.get(f"{theirs['id']}/datastores/workspaceblobstore")
    assert store is not None
    container = store["properties"]["containerName"]
    where = {"subscriptionId": SUBSCRIPTION, "resourceGroup": "elsewhere"}
    put_datastore(opened(), "far", account.rpartition("/")[2], container, **where)
    far = opened(datastore="far")

    far.access.grant(Role.READER, ada)
    assert {scope for _, scope in assigned(cloud, ada)} == {workspace, account.rpartition("/")[2]}
    assert roles(far, ada) == [Role.READER]
    far.access.revoke(Role.READER, ada)

    reader = opened("reader", datastore="far").access
    lack = reader.lacking(reader.permissions["models.get"])
    assert {one.resource for one in lack.values()} == {f"{account}/blobServices/default/containers/{container}"}


def test_an_account_that_nobody_says_the_place_of_is_named_and_not_guessed(
    opened: Opened, cloud: AzureCloud, ada: str
) -> None:
    put_datastore(opened(), "far", "elsewhere", "models")
    far = opened(datastore="far").access

    lacking = far.lacking(far.permissions["models.get"])
    assert {one.scope for one in lacking} == {Where.ACCOUNT}
    for lack in lacking.values():
        assert "does not say which resource group its storage account 'elsewhere' is in" in lack.unknown
    for change in (far.grant, far.revoke):
        with pytest.raises(ConfigurationError, match="'elsewhere'"):
            change(Role.READER, ada)
    with pytest.raises(ConfigurationError, match="'elsewhere'"):
        far.list()
    assert assigned(cloud, ada) == set()


def test_a_trainer_is_one_of_the_other_feature_store_too(opened: Opened, cloud: AzureCloud, ada: str) -> None:
    cloud.ensure_workspace("shown-to-all", group=GROUP)
    platform = opened(feature_store="shown-to-all")
    platform.access.grant(Role.TRAINER, ada)

    names = {name for name, where in assigned(cloud, ada) if where == "shown-to-all"}
    assert names == {"Reader", "AzureML Data Scientist"}
    assert len({where for _, where in assigned(cloud, ada)}) == 4, "both workspaces, both accounts"
    assert roles(platform, ada) == [Role.TRAINER]
    assert roles(opened(), ada) == [Role.TRAINER]

    platform.access.revoke(Role.TRAINER, ada)
    assert assigned(cloud, ada) == set()


def test_a_role_at_what_is_one_account_for_both_is_given_and_taken_once(
    opened: Opened, cloud: AzureCloud, workspace: str, ada: str
) -> None:
    platform = opened(feature_store=workspace)
    platform.access.grant(Role.TRAINER, ada)
    assert len({where for _, where in assigned(cloud, ada)}) == 2
    assert roles(platform, ada) == [Role.TRAINER]
    platform.access.revoke(Role.TRAINER, ada)
    assert assigned(cloud, ada) == set()


def test_a_feature_store_that_is_not_there_and_a_registry_are_told_by_name(opened: Opened) -> None:
    access = opened(feature_store="nowhere", environment=EVERYTHING["environment"]).access
    told = access.lacking({*access.permissions["features.apply"], *access.permissions["pipelines.run"]})

    assert {one.scope for one in told} == {Where.FEATURE_ACCOUNT, Where.REGISTRY}, "the owner may all that is above"
    for one, lack in told.items():
        assert ("everybodys" if one.scope == Where.REGISTRY else "nowhere") in lack.unknown


def test_what_settings_rule_out_is_not_asked_for() -> None:
    def needed(verb: str, **given: str) -> set[str]:
        return {one.name for one in permissions_of(settings(**given))[verb]}

    made = f"{ML}/environments/versions/write"
    assert made in needed("endpoints.deploy") - needed("endpoints.deploy", serving="mlflow")
    assert f"{ML}/computes/write" not in needed("pipelines.run", compute="cpu")
    with_machine = needed("pipelines.run", compute="cpu", compute_machine="Standard_DS3_v2")
    assert with_machine - needed("pipelines.run") == {f"{ML}/computes/read", f"{ML}/computes/write"}
    assert needed("features.online", redis_url="redis://127.0.0.1:1") == needed("features.online", redis_url="none")


def test_the_caller_is_the_object_id_of_the_token(platform: Platform, cloud: AzureCloud) -> None:
    assert platform.actor.id == cloud.tokens.directory.by_name("owner").object_id
    assert platform.actor.kind is ActorKind.SERVICE


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.e30.c", ""])
def test_a_token_that_does_not_say_whose_it_is_is_refused(token: str) -> None:
    with pytest.raises(AuthenticationError, match="does not say whose it is"):
        caller(token)


def test_doctor_says_what_is_missing_and_what_is_not_there(opened: Opened, as_somebody: Callable[[str], None]) -> None:
    target = opened().settings.target
    well = CliRunner().invoke(doctor, ["--target", target])
    as_somebody("reader")
    missing = CliRunner().invoke(doctor, ["--target", target])

    assert well.exit_code == 0, well.output
    assert "ok   Runs: 0" in well.output
    assert missing.exit_code == 1
    assert "Ask for the role reader, there called Storage Blob Data Reader (docs/access.md)." in missing.output
