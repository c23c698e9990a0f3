"""Datasets over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog, Resource, check_etag, patched
from cloudmlops.emulators.google.bigquery.labels import check_labels
from cloudmlops.emulators.google.bigquery.names import DatasetName
from cloudmlops.emulators.google.bigquery.paging import flag, page
from cloudmlops.emulators.google.bigquery.refusals import not_emulated

_FIXED: Final = {"id", "kind", "etag", "selfLink", "datasetReference", "creationTime", "lastModifiedTime", "type"}
_REFUSED: Final = {
    "defaultPartitionExpirationMs",
    "isCaseInsensitive",
    "externalDatasetReference",
    "linkedDatasetSource",
    "defaultCollation",
}


class Datasets:
    """What `datasets.*` does."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def insert(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        content = asked.json()
        name = DatasetName.of(content.get("datasetReference", {}), project=path["project"])
        return answer_json(self._catalog.create_dataset(name, _given(content)))

    def get(self, _: Asked, path: Mapping[str, str], __: Caller) -> Answer:
        return answer_json(self._catalog.dataset(_name(path)))

    def list(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        seen = [
            made
            for made in self._catalog.datasets(path["project"])
            if caller.may("bigquery.datasets.get", DatasetName.of(made["datasetReference"]))
        ]
        shown, rest = page(seen, asked.query)
        kept = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
        entries = [{key: made[key] for key in kept if key in made} for made in shown]
        return answer_json({"kind": "bigquery#datasetList", "etag": "list", "datasets": entries, **rest})

    def patch(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        with self._catalog.warehouse.writing:
            made = self._catalog.dataset(_name(path))
            check_etag(made, asked.headers)
            return answer_json(self._catalog.change_dataset(_name(path), patched(made, _given(asked.json()))))

    def update(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        with self._catalog.warehouse.writing:
            made = self._catalog.dataset(_name(path))
            check_etag(made, asked.headers)
            fixed = {key: value for key, value in made.items() if key in _FIXED | {"location", "access"}}
            return answer_json(self._catalog.change_dataset(_name(path), {**fixed, **_given(asked.json())}))

    def delete(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        name, with_tables = _name(path), flag(asked.query, "deleteContents")
        if with_tables:
            caller.need("bigquery.tables.delete", name)
        self._catalog.delete_dataset(name, with_tables=with_tables)
        return Answer(status=204)


def _given(content: Mapping[str, Any]) -> Resource:
    for refused in _REFUSED & {key for key, value in content.items() if value}:
        raise not_emulated(f"{refused} of a dataset")
    check_labels(content.get("labels"))
    return {key: value for key, value in content.items() if key not in _FIXED}


def _name(path: Mapping[str, str]) -> DatasetName:
    return DatasetName.of({"datasetId": path["dataset"]}, project=path["project"])
