"""Who asks, what he may do, and the words in which he is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions

from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.bigtable.permissions import PERMISSIONS
from cloudmlops.emulators.google.bigtable.service import service
from cloudmlops.emulators.google.tokens import Tokens

from .conftest import INSTANCE, Bigtable, set_cell

EVE = "eve@example.com"
SET = [set_cell("f", b"q", 1, b"v")]
RULE = {"family_name": "f", "column_qualifier": b"q", "append_value": b"!"}


@pytest.fixture
def access(ours: Bigtable) -> Iterator[Access]:
    assert ours.surroundings is not None
    access = Access(ours.surroundings.state)
    yield access
    access.allow()


def sent(ours: Bigtable, principal: str) -> dict[str, Any]:
    assert ours.surroundings is not None
    token = Tokens(ours.surroundings.state).issue(principal)
    return {"metadata": [("authorization", f"Bearer {token}")], "retry": None, "timeout": 20}


Act = Callable[[Bigtable, str, dict[str, Any]], Any]
ACTS: dict[str, tuple[str, Act]] = {
    "ReadRows": ("readRows", lambda at, table, by: list(at.data.read_rows(table_name=table, **by))),
    "SampleRowKeys": ("sampleRowKeys", lambda at, table, by: list(at.data.sample_row_keys(table_name=table, **by))),
    "MutateRow": (
        "mutateRows",
        lambda at, table, by: at.data.mutate_row(table_name=table, row_key=b"k", mutations=SET, **by),
    ),
    "MutateRows": (
        "mutateRows",
        lambda at, table, by: list(
            at.data.mutate_rows(table_name=table, entries=[{"row_key": b"k", "mutations": SET}], **by)
        ),
    ),
    "CheckAndMutateRow": (
        "mutateRows",
        lambda at, table, by: at.data.check_and_mutate_row(
            table_name=table, row_key=b"k", false_mutations=SET, true_mutations=[], **by
        ),
    ),
    "ReadModifyWriteRow": (
        "readRows",
        lambda at, table, by: at.data.read_modify_write_row(table_name=table, row_key=b"k", rules=[RULE], **by),
    ),
    "GetTable": ("get", lambda at, table, by: at.admin.get_table(name=table, **by)),
    "CreateTable": ("create", lambda at, _, by: at.admin.create_table(parent=INSTANCE, table_id="x", table={}, **by)),
    "DeleteTable": ("delete", lambda at, table, by: at.admin.delete_table(name=table, **by)),
    "UpdateTable": (
        "update",
        lambda at, table, by: at.admin.update_table(
            table={"name": table, "deletion_protection": True}, update_mask={"paths": ["deletion_protection"]}, **by
        ),
    ),
    "ModifyColumnFamilies": (
        "update",
        lambda at, table, by: at.admin.modify_column_families(
            name=table, modifications=[{"id": "f", "drop": True}], **by
        ),
    ),
    "DropRowRange": (
        "mutateRows",
        lambda at, table, by: at.admin.drop_row_range(
            request={"name": table, "delete_all_data_from_table": True}, **by
        ),
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_was_denied_is_refused_to_one_and_not_to_another(ours: Bigtable, access: Access, act: str) -> None:
    verb, does = ACTS[act]
    table = ours.table()
    ours.put(table, b"row", ("f", b"q", 5, b"v"))
    before = ours.read(table)
    access.deny(f"bigtable.tables.{verb}", principal=EVE, resource="projects/test/*")

    with pytest.raises(exceptions.PermissionDenied) as caught:
        does(ours, table, sent(ours, EVE))

    assert caught.value.message == f"Access denied. Missing IAM permission: bigtable.tables.{verb}."
    assert ours.read(table) == before, "nothing was done"
    if act not in {"DeleteTable", "CreateTable"}:
        does(ours, table, sent(ours, "ada@example.com"))


def test_instances_clusters_and_app_profiles_need_permissions_of_their_own(ours: Bigtable, access: Access) -> None:
    access.deny("bigtable.instances.*", principal=EVE)
    by = sent(ours, EVE)

    for does in (
        lambda: ours.instances.list_instances(parent="projects/test", **by),
        lambda: ours.instances.get_instance(name=INSTANCE, **by),
        lambda: ours.instances.delete_instance(name=INSTANCE, **by),
        lambda: ours.data.ping_and_warm(name=INSTANCE, **by),
    ):
        with pytest.raises(exceptions.PermissionDenied, match=r"Missing IAM permission: bigtable\.instances\.\w+\."):
            does()


def test_a_right_is_denied_on_one_table_and_kept_on_another(ours: Bigtable, access: Access) -> None:
    one, other = ours.table(), ours.table()
    access.deny("bigtable.tables.readRows", resource=one)

    assert ours.read(other) == []
    with pytest.raises(exceptions.PermissionDenied):
        ours.read(one)


@pytest.mark.parametrize("kind", ["data", "admin"])
def test_a_token_that_nobody_issued_is_refused(ours: Bigtable, kind: str) -> None:
    table = ours.table()
    by = {"metadata": [("authorization", "Bearer nonsense")], "retry": None, "timeout": 20}
    does = {
        "data": lambda: list(ours.data.read_rows(table_name=table, **by)),
        "admin": lambda: ours.admin.get_table(name=table, **by),
    }

    with pytest.raises(exceptions.Unauthenticated) as caught:
        does[kind]()

    assert caught.value.message.startswith("Request had invalid authentication credentials.")
    assert (caught.value.reason, caught.value.domain) == ("ACCESS_TOKEN_TYPE_UNSUPPORTED", "bigtable.googleapis.com")


def test_every_method_that_is_answered_needs_a_permission(ours: Bigtable) -> None:
    assert ours.surroundings is not None
    handlers: Any = service(ours.surroundings).rpc
    answered = {"{}.{}".format(*path.rpartition(".")[2].split("/")) for path in handlers.paths}
    assert answered == set(PERMISSIONS)
