"""What is known of datasets and tables besides their rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State, Table
from cloudmlops.emulators.google.bigquery.fields import Field, duckdb_type, quoted
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid
from cloudmlops.emulators.google.bigquery.warehouse import Warehouse, place

Resource = dict[str, Any]

LOCATION: Final = "US"


class Catalog:
    """Datasets, tables and views."""

    def __init__(self, state: State, clock: Clock, warehouse: Warehouse) -> None:
        self._state = state
        self._clock = clock
        self._datasets: Table = state.table("bigquery_datasets")
        self._tables: Table = state.table("bigquery_tables")
        self.warehouse = warehouse

    def milliseconds(self) -> str:
        """The present moment, as resources write it."""
        return str(int(self._clock.now().timestamp() * 1000))

    # Datasets

    def dataset(self, name: DatasetName) -> Resource:
        """Return a dataset.

        Raises:
            Refused: There is none.
        """
        found = self._datasets.get(str(name))
        if found is None:
            raise Refused("NOT_FOUND", f"Not found: Dataset {name}", reason="notFound")
        return dict(json.loads(found))

    def location_of(self, name: DatasetName) -> str:
        """Return where a dataset lies: of one that is not there, where most do."""
        found = self._datasets.get(str(name))
        return LOCATION if found is None else str(json.loads(found)["location"])

    def datasets(self, project: str) -> list[Resource]:
        """Return a project's datasets, by name."""
        return [json.loads(data) for _, data in self._datasets.items(f"{project}:")]

    def create_dataset(self, name: DatasetName, given: Mapping[str, Any]) -> Resource:
        """Make a dataset.

        Raises:
            Refused: There is one of that name.
        """
        now = self.milliseconds()
        made = {
            "location": LOCATION,
            "access": [{"role": "OWNER", "specialGroup": "projectOwners"}],
            **given,
            "kind": "bigquery#dataset",
            "id": str(name),
            "datasetReference": name.reference(),
            "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{name.project}/datasets/{name.dataset}",
            "creationTime": now,
            "lastModifiedTime": now,
            "type": "DEFAULT",
        }
        with self.warehouse.writing:
            if self._datasets.get(str(name)) is not None:
                raise Refused("ALREADY_EXISTS", f"Already Exists: Dataset {name}", reason="duplicate")
            self.warehouse.make_dataset(name)
            return self._kept(self._datasets, str(name), made)

    def change_dataset(self, name: DatasetName, made: Resource) -> Resource:
        """Put a dataset's new description in the place of the old one."""
        return self._kept(self._datasets, str(name), {**made, "lastModifiedTime": self.milliseconds()})

    def delete_dataset(self, name: DatasetName, *, with_tables: bool) -> None:
        """Remove a dataset.

        Raises:
            Refused: There is none, or it has tables and they were not to be removed.
        """
        with self.warehouse.writing:
            self.dataset(name)
            tables = self.tables(name)
            if tables and not with_tables:
                raise Refused("INVALID_ARGUMENT", f"Dataset {name} is still in use", reason="resourceInUse")
            with self._state.transaction():
                for table in tables:
                    self._tables.delete(_key(TableName.of(table["tableReference"])))
                self._datasets.delete(str(name))
            self.warehouse.drop_dataset(name)

    # Tables

    def find(self, name: TableName) -> Resource | None:
        """Return a table or view, None when there is none or it has expired."""
        found = self._tables.get(_key(name))
        if found is None:
            return None
        made = dict(json.loads(found))
        if int(made.get("expirationTime") or 0) and int(made["expirationTime"]) <= int(self.milliseconds()):
            self.drop(name)
            return None
        return made

    def table(self, name: TableName) -> Resource:
        """Return a table or view.

        Raises:
            Refused: There is none.
        """
        found = self.find(name)
        if found is None:
            self.dataset(name.parent)
            raise Refused("NOT_FOUND", f"Not found: Table {name}", reason="notFound")
        return found

    def tables(self, parent: DatasetName) -> list[Resource]:
        """Return a dataset's tables and views, by name."""
        names = [TableName.of(json.loads(data)["tableReference"]) for _, data in self._tables.items(f"{parent}.")]
        return [found for name in names if (found := self.find(name)) is not None]

    def create_table(self, name: TableName, given: Mapping[str, Any], *, fields: Sequence[Field]) -> Resource:
        """Make an empty table.

        Raises:
            Refused: Its dataset is missing, or a table or view of that name is there.
        """
        with self.warehouse.writing:
            self._check_free(name)
            columns = ", ".join(_column(field) for field in fields) or '"__none" BOOLEAN'
            with self.warehouse.changing() as cursor:
                # Rows without a description are what a crash has left of a table that was being made or dropped.
                cursor.execute(f"CREATE OR REPLACE TABLE {place(name)} ({columns})")
            return self.note_table(name, given, fields=fields)

    def create_view(self, name: TableName, given: Mapping[str, Any], *, fields: Sequence[Field]) -> Resource:
        """Make a view; its query has been checked.

        Raises:
            Refused: Its dataset is missing, or a table or view of that name is there.
        """
        with self.warehouse.writing:
            self._check_free(name)
            return self._note(name, {**given, "type": "VIEW"}, fields)

    def note_table(self, name: TableName, given: Mapping[str, Any], *, fields: Sequence[Field]) -> Resource:
        """Remember a table whose rows are there."""
        return self._note(name, {**given, "type": "TABLE"}, fields)

    def change_table(self, name: TableName, made: Resource) -> Resource:
        """Put a table's new description in the place of the old one."""
        return self._kept(self._tables, _key(name), {**made, "lastModifiedTime": self.milliseconds()})

    def touch(self, name: TableName) -> None:
        """Remember that a table's rows have changed."""
        self.change_table(name, self.table(name))

    def drop(self, name: TableName) -> None:
        """Remove a table or view and its rows."""
        with self.warehouse.writing:
            self._tables.delete(_key(name))
            with self.warehouse.changing() as cursor:
                cursor.execute(f"DROP TABLE IF EXISTS {place(name)}")

    def _check_free(self, name: TableName) -> None:
        self.dataset(name.parent)
        for other in self.tables(name.parent):
            there = str(other["tableReference"]["tableId"])
            if there == name.table:
                raise Refused("ALREADY_EXISTS", f"Already Exists: Table {name}", reason="duplicate")
            if there.lower() == name.table.lower():
                raise invalid(
                    f"table {name.table} beside table {there}: names that differ in case only are not emulated"
                )

    def _note(self, name: TableName, given: Mapping[str, Any], fields: Sequence[Field]) -> Resource:
        now = self.milliseconds()
        parent = self.dataset(name.parent)
        expires = parent.get("defaultTableExpirationMs")
        made = {
            **({"expirationTime": str(int(now) + int(expires))} if expires else {}),
            **given,
            "kind": "bigquery#table",
            "id": str(name),
            "tableReference": name.reference(),
            "schema": {"fields": list(fields)},
            "selfLink": "https://bigquery.googleapis.com/bigquery/v2/projects/"
            f"{name.parent.project}/datasets/{name.parent.dataset}/tables/{name.table}",
            "creationTime": now,
            "lastModifiedTime": now,
            "location": parent["location"],
        }
        return self._kept(self._tables, _key(name), made)

    def _kept(self, table: Table, key: str, made: Resource) -> Resource:
        """Keep a resource under a new tag."""
        made.pop("etag", None)
        text = json.dumps(made, sort_keys=True)
        made["etag"] = hashlib.sha256(text.encode()).hexdigest()[:22]
        table.put(key, json.dumps(made).encode())
        return made


def fields_of(table: Resource) -> list[dict[str, Any]]:
    """The columns of a table or view."""
    return list(table.get("schema", {}).get("fields", ()))


def patched(made: Resource, changes: Mapping[str, Any]) -> Resource:
    """Change a resource as PATCH does: null removes, labels are changed one by one."""
    result = dict(made)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif key == "labels":
            labels = {**result.get("labels", {}), **value}
            result["labels"] = {name: label for name, label in labels.items() if label is not None}
        else:
            result[key] = value
    return result


def check_etag(made: Resource, headers: Mapping[str, str]) -> None:
    """Refuse a change of what has changed meanwhile.

    Raises:
        Refused: `If-Match` names another tag.
    """
    wanted = headers.get("if-match")
    if wanted and wanted not in {made["etag"], "*"}:
        raise Refused("FAILED_PRECONDITION", "Precondition check failed.", reason="conditionNotMet")


def _column(field: Field) -> str:
    required = " NOT NULL" if field.get("mode") == "REQUIRED" else ""
    return f"{quoted(field['name'])} {duckdb_type(field)}{required}"


def _key(name: TableName) -> str:
    return str(name)
