"""Administration of tables: `google.bigtable.admin.v2.BigtableTableAdmin`."""

from __future__ import annotations

import re
from typing import Any, Final

from google.cloud.bigtable_admin_v2 import types
from google.protobuf.empty_pb2 import Empty

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigtable.aggregates import check_aggregate
from cloudmlops.emulators.google.bigtable.garbage_collection import check_rule
from cloudmlops.emulators.google.bigtable.instances import Instances
from cloudmlops.emulators.google.bigtable.rpc import Method
from cloudmlops.emulators.google.bigtable.tables import Table, Tables

_TABLE_ID: Final = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,49}")
_FAMILY_ID: Final = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,63}")
_VIEW: Final = types.Table.View
_REPLICATED: Final = types.Table.ClusterState.ReplicationState.READY
_Table: Final = types.Table.pb()


class TableAdmin:
    """Makes, describes and removes tables."""

    def __init__(self, tables: Tables, instances: Instances) -> None:
        self._tables = tables
        self._instances = instances

    def methods(self) -> list[Method]:
        """What is answered."""
        table, empty = _Table, Empty
        return [
            _method("CreateTable", "CreateTableRequest", table, self.create_table),
            _method("ListTables", "ListTablesRequest", _message("ListTablesResponse"), self.list_tables),
            _method("GetTable", "GetTableRequest", table, self.get_table),
            _method("UpdateTable", "UpdateTableRequest", self._instances.operation, self.update_table),
            _method("DeleteTable", "DeleteTableRequest", empty, self.delete_table),
            _method("ModifyColumnFamilies", "ModifyColumnFamiliesRequest", table, self.modify_column_families),
            _method("DropRowRange", "DropRowRangeRequest", empty, self.drop_row_range),
            _method(
                "GenerateConsistencyToken",
                "GenerateConsistencyTokenRequest",
                _message("GenerateConsistencyTokenResponse"),
                self.generate_consistency_token,
            ),
            _method(
                "CheckConsistency",
                "CheckConsistencyRequest",
                _message("CheckConsistencyResponse"),
                self.check_consistency,
            ),
        ]

    def create_table(self, asked: Any) -> Any:
        if not _TABLE_ID.fullmatch(asked.table_id):
            raise Refused("INVALID_ARGUMENT", f"Invalid table id '{asked.table_id}': must match {_TABLE_ID.pattern}")
        definition = _Table()
        definition.CopyFrom(asked.table)
        for field, value in definition.ListFields():
            if field.name not in {"column_families", "granularity", "deletion_protection"} and value:
                raise Refused("UNIMPLEMENTED", f"Table.{field.name} is not emulated: leave it out")
        for name, family in definition.column_families.items():
            _check_family(name, family)
        definition.name = f"{asked.parent}/tables/{asked.table_id}"
        definition.granularity = types.Table.TimestampGranularity.MILLIS
        splits = sorted({split.key for split in asked.initial_splits})
        if b"" in splits:
            raise Refused("INVALID_ARGUMENT", "Error in field 'initial_splits' : split keys must be non-empty")
        table = Table(definition, splits=splits)
        self._tables.create(table)
        return self._shown(table, _VIEW.SCHEMA_VIEW)

    def list_tables(self, asked: Any) -> Any:
        response = _message("ListTablesResponse")()
        with self._tables.lock:
            for table in self._tables.of(asked.parent):
                response.tables.append(self._shown(table, asked.view or _VIEW.NAME_ONLY))
        return response

    def get_table(self, asked: Any) -> Any:
        with self._tables.lock:
            return self._shown(self._tables.get(asked.name), asked.view or _VIEW.SCHEMA_VIEW)

    def update_table(self, asked: Any) -> Any:
        """Change the protection from deletion, which is all that is emulated of what can be changed."""
        with self._tables.lock:
            table = self._tables.get(asked.table.name)
            for path in asked.update_mask.paths:
                if path != "deletion_protection":
                    raise Refused("UNIMPLEMENTED", f"UpdateTable of {path} is not emulated")
            if not asked.update_mask.paths:
                raise Refused("INVALID_ARGUMENT", "Error in field 'update_mask' : must name a field")
            table.definition.deletion_protection = asked.table.deletion_protection
            self._tables.save(table)
            metadata = _message("UpdateTableMetadata")(name=table.name)
            return self._instances.done(table.name, self._shown(table, _VIEW.SCHEMA_VIEW), metadata)

    def delete_table(self, asked: Any) -> Any:
        with self._tables.lock:
            table = self._tables.get(asked.name)
            _check_unprotected(table)
            self._tables.delete(table)
        return Empty()

    def modify_column_families(self, asked: Any) -> Any:
        """Apply all modifications, or none."""
        with self._tables.together():
            table = self._tables.get(asked.name)
            definition, dropped = _Table(), []
            definition.CopyFrom(table.definition)
            if not asked.modifications:
                raise Refused("INVALID_ARGUMENT", "No modifications provided")
            for modification in asked.modifications:
                if modification.drop:
                    _check_unprotected(table)
                    dropped.append(modification.id)
                _modify(table.name, definition.column_families, modification)
            for name in dropped:
                self._tables.drop_family(table, name)
            table.definition.CopyFrom(definition)
            self._tables.save(table)
            return self._shown(table, _VIEW.SCHEMA_VIEW)

    def drop_row_range(self, asked: Any) -> Any:
        with self._tables.lock:
            table = self._tables.get(asked.name)
            match asked.WhichOneof("target"):
                case "delete_all_data_from_table" if asked.delete_all_data_from_table:
                    self._tables.drop(table, table.rows.between())
                case "row_key_prefix" if asked.row_key_prefix:
                    prefix = asked.row_key_prefix
                    found = [key for key in table.rows.between(prefix) if key.startswith(prefix)]
                    self._tables.drop(table, found)
                case _:
                    raise Refused(
                        "INVALID_ARGUMENT", "Error in field 'target' : a row key prefix or all data must be named"
                    )
        return Empty()

    def generate_consistency_token(self, asked: Any) -> Any:
        with self._tables.lock:
            table = self._tables.get(asked.name)
        return _message("GenerateConsistencyTokenResponse")(consistency_token=_token(table))

    def check_consistency(self, asked: Any) -> Any:
        """Say yes: all clusters of an emulated instance read the same rows."""
        with self._tables.lock:
            table = self._tables.get(asked.name)
        if asked.consistency_token != _token(table):
            raise Refused("INVALID_ARGUMENT", f"Invalid consistency token '{asked.consistency_token}'")
        return _message("CheckConsistencyResponse")(consistent=True)

    def _shown(self, table: Table, view: int) -> Any:
        shown = _Table(name=table.name)
        if view in {_VIEW.SCHEMA_VIEW, _VIEW.FULL}:
            shown.CopyFrom(table.definition)
        if view in {_VIEW.REPLICATION_VIEW, _VIEW.ENCRYPTION_VIEW, _VIEW.FULL}:
            for cluster in self._instances.cluster_ids(table.instance):
                shown.cluster_states[cluster].replication_state = _REPLICATED
        return shown


def _modify(table: str, families: Any, modification: Any) -> None:
    name = modification.id
    kind = modification.WhichOneof("mod")
    if kind == "create":
        if name in families:
            raise Refused("ALREADY_EXISTS", f"Column family already exists: {name} in {table}")
        _check_family(name, modification.create)
        families[name].CopyFrom(modification.create)
        return
    if name not in families:
        raise Refused("NOT_FOUND", f"Column family not found: {name} in {table}")
    if kind == "update":
        paths = list(modification.update_mask.paths) or ["gc_rule"]
        for path in paths:
            if path != "gc_rule":
                raise Refused("UNIMPLEMENTED", f"an update of a column family's {path} is not emulated")
        check_rule(modification.update.gc_rule)
        families[name].gc_rule.CopyFrom(modification.update.gc_rule)
    elif kind == "drop" and modification.drop:
        del families[name]
    else:
        raise Refused("INVALID_ARGUMENT", f"No modification of column family {name} is set")


def _check_family(name: str, family: Any) -> None:
    if not _FAMILY_ID.fullmatch(name):
        raise Refused("INVALID_ARGUMENT", f"Invalid column family id '{name}': must match {_FAMILY_ID.pattern}")
    check_aggregate(name, family)
    check_rule(family.gc_rule)


def _check_unprotected(table: Table) -> None:
    if table.definition.deletion_protection:
        raise Refused("FAILED_PRECONDITION", f"Table is protected from deletion: {table.name}")


def _token(table: Table) -> str:
    return f"consistency-of-{table.name}"


def _message(name: str) -> Any:
    return getattr(types, name).pb()


def _method(name: str, request: str, response: Any, act: Any) -> Method:
    return Method(
        path=f"/google.bigtable.admin.v2.BigtableTableAdmin/{name}",
        request=_message(request),
        response=response,
        act=act,
    )
