"""Tables and views over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog, Resource, check_etag, fields_of, patched
from cloudmlops.emulators.google.bigquery.estimating import table_bytes
from cloudmlops.emulators.google.bigquery.fields import checked, duckdb_type, quoted
from cloudmlops.emulators.google.bigquery.labels import check_labels
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.paging import page
from cloudmlops.emulators.google.bigquery.queries import Queries
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import count, fill_arrays, place

_FIXED: Final = {
    "id",
    "kind",
    "etag",
    "selfLink",
    "tableReference",
    "creationTime",
    "lastModifiedTime",
    "type",
    "numRows",
    "numBytes",
    "numLongTermBytes",
    "location",
    "streamingBuffer",
}
_REFUSED: Final = {
    "externalDataConfiguration",
    "materializedView",
    "requirePartitionFilter",
    "snapshotDefinition",
    "cloneDefinition",
    "tableConstraints",
    "biglakeConfiguration",
    "defaultCollation",
}


class Tables:
    """What `tables.*` does."""

    def __init__(self, catalog: Catalog, queries: Queries) -> None:
        self._catalog = catalog
        self._queries = queries

    def insert(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        content = asked.json()
        reference = {**content.get("tableReference", {}), "datasetId": path["dataset"], "projectId": path["project"]}
        name = TableName.of(reference)
        given = _given(content)
        if given.get("view"):
            fields = self._view_fields(name, given["view"], caller)
            return answer_json(self._shown(name, self._catalog.create_view(name, given, fields=fields)))
        fields = checked(given.get("schema", {}).get("fields", ()))
        return answer_json(self._shown(name, self._catalog.create_table(name, given, fields=fields)))

    def get(self, _: Asked, path: Mapping[str, str], __: Caller) -> Answer:
        name = _name(path)
        return answer_json(self._shown(name, self._catalog.table(name)))

    def listed(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        parent = DatasetName.of({"datasetId": path["dataset"]}, project=path["project"])
        self._catalog.dataset(parent)
        tables = self._catalog.tables(parent)
        shown, rest = page(tables, asked.query)
        kept = (
            "id",
            "tableReference",
            "type",
            "labels",
            "friendlyName",
            "timePartitioning",
            "rangePartitioning",
            "clustering",
            "creationTime",
            "expirationTime",
        )
        entries: list[dict[str, Any]] = []
        for made in shown:
            entry = {"kind": "bigquery#table", **{key: made[key] for key in kept if key in made}}
            if "view" in made:
                entry["view"] = {"useLegacySql": False}
            entries.append(entry)
        return answer_json(
            {"kind": "bigquery#tableList", "etag": "list", "tables": entries, "totalItems": len(tables), **rest}
        )

    def patch(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        name = _name(path)
        with self._catalog.warehouse.writing:
            made = self._catalog.table(name)
            check_etag(made, asked.headers)
            return self._changed(name, made, patched(made, _given(asked.json())), caller)

    def update(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        name = _name(path)
        with self._catalog.warehouse.writing:
            made = self._catalog.table(name)
            check_etag(made, asked.headers)
            fixed = {key: value for key, value in made.items() if key in _FIXED | {"schema"}}
            return self._changed(name, made, {**fixed, **_given(asked.json())}, caller)

    def delete(self, _: Asked, path: Mapping[str, str], __: Caller) -> Answer:
        name = _name(path)
        with self._catalog.warehouse.writing:
            self._catalog.table(name)
            self._catalog.drop(name)
        return Answer(status=204)

    def _changed(self, name: TableName, old: Resource, new: Resource, caller: Caller) -> Answer:
        if "view" in new and new["view"] != old.get("view"):
            if "view" not in old:
                raise invalid(f"Cannot change table {name} to a view")
            new["schema"] = {"fields": self._view_fields(name, new["view"], caller)}
        elif "view" not in new:
            new["schema"] = {"fields": self._with_new_columns(name, old, new)}
        return answer_json(self._shown(name, self._catalog.change_table(name, new)))

    def _with_new_columns(self, name: TableName, old: Resource, new: Resource) -> list[dict[str, Any]]:
        """Add the columns that a new schema has; nothing else of types may change."""
        before, after = fields_of(old), checked(fields_of(new))
        known = {field["name"].lower(): field for field in before}
        left = {field["name"].lower() for field in after}
        for gone in sorted(known.keys() - left):
            raise invalid(f"Provided Schema does not match Table {name}. Field {gone} is missing in new schema")
        added = []
        for field in after:
            there = known.get(field["name"].lower())
            if there is None:
                if field["mode"] == "REQUIRED":
                    raise invalid(
                        f"Provided Schema does not match Table {name}. Cannot add required fields to an existing "
                        f"schema. (field: {field['name']})"
                    )
                added.append(field)
            elif duckdb_type(there) != duckdb_type(field):
                raise invalid(
                    f"Provided Schema does not match Table {name}. Field {field['name']} has changed type from "
                    f"{there['type']} to {field['type']}"
                )
            elif there["mode"] != field["mode"] and (there["mode"], field["mode"]) != ("REQUIRED", "NULLABLE"):
                raise invalid(
                    f"Provided Schema does not match Table {name}. Field {field['name']} has changed mode from "
                    f"{there['mode']} to {field['mode']}"
                )
        with self._catalog.warehouse.changing() as cursor:
            for field in after:
                there = known.get(field["name"].lower())
                if there is not None and there["mode"] != field["mode"]:
                    cursor.execute(f"ALTER TABLE {place(name)} ALTER {quoted(field['name'])} DROP NOT NULL")
            for field in added:
                cursor.execute(f"ALTER TABLE {place(name)} ADD COLUMN {quoted(field['name'])} {duckdb_type(field)}")
            if added and not before:
                cursor.execute(f'ALTER TABLE {place(name)} DROP COLUMN "__none"')
            fill_arrays(cursor, place(name), added)
        return after

    def _view_fields(self, name: TableName, view: Mapping[str, Any], caller: Caller) -> list[dict[str, Any]]:
        if view.get("useLegacySql", True):
            raise not_emulated("legacy SQL (useLegacySql of a view)")
        return self._queries.fields_of_query(str(view.get("query", "")), name.parent.project, caller)

    def _shown(self, name: TableName, made: Resource) -> Resource:
        if made["type"] != "TABLE":
            return made
        with self._catalog.warehouse.reading() as cursor:
            rows = count(cursor, place(name))
            size = table_bytes(cursor, place(name), fields_of(made), rows)
        return {**made, "numRows": str(rows), "numBytes": str(size), "numLongTermBytes": "0"}


def _given(content: Mapping[str, Any]) -> Resource:
    for refused in sorted(_REFUSED & {key for key, value in content.items() if value}):
        raise not_emulated(f"{refused} of a table")
    check_labels(content.get("labels"))
    return {key: value for key, value in content.items() if key not in _FIXED}


def _name(path: Mapping[str, str]) -> TableName:
    return TableName.of({"datasetId": path["dataset"], "tableId": path["table"]}, project=path["project"])
