"""The rows of online stores in Bigtable, in the layout that Google's own reader has.

Row key: the entity's id, the parts of a composite one joined with `:`. Column family: the feature view's id. Qualifier
`default` is what a sync wrote, `dw` what was written directly; the newer counts, and of two of the same time `default`.
The value is a `FeatureViewInternalStorage` (googleapis/java-vertex-feature-store, `fs.proto`, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.tokens import Tokens

SYNCED: Final = b"default"
WRITTEN: Final = b"dw"
_TABLE: Final = "featurestore"
_ROWS_AT_ONCE: Final = 1000


@cache
def storage_type() -> Any:
    """Return the class of `FeatureViewInternalStorage`, made here: no package has it."""
    value = message("FeatureValue").DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="cloudmlops/emulated_feature_storage.proto",
        package="cloudmlops.emulated",
        syntax="proto3",
        dependency=[value.file.name, "google/protobuf/timestamp.proto"],
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    feature = file.message_type.add(name="FeatureData")
    feature.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    feature.field.add(
        name="values", number=2, type=kinds.TYPE_MESSAGE, label=kinds.LABEL_REPEATED, type_name=f".{value.full_name}"
    )
    storage = file.message_type.add(name="FeatureViewInternalStorage")
    storage.field.add(
        name="feature_data",
        number=1,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_REPEATED,
        type_name=".cloudmlops.emulated.FeatureData",
    )
    storage.field.add(
        name="feature_timestamp",
        number=2,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_OPTIONAL,
        type_name=".google.protobuf.Timestamp",
    )
    pool = descriptor_pool.Default()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cloudmlops.emulated.FeatureViewInternalStorage"))


class StoredRows:
    """Rows of feature views in the emulated Bigtable: written over its wire, read where they are, to be quick."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._tokens = Tokens(surroundings.state)
        self._prepared: set[str] = set()

    def metadata(self, store: str) -> Any:
        """Return where an online store's rows are, as a `BigtableMetadata`."""
        _, project, _, _, _, name = store.split("/")
        return message("FeatureOnlineStore").Bigtable.BigtableMetadata(
            tenant_project_id=f"t{project}-tp", instance_id=f"fs-{name.replace('_', '-')[:28]}", table_id=_TABLE
        )

    def prepare(self, view: str) -> None:
        """Make the table and family of a view, unless they are there."""
        if view in self._prepared:
            return
        table, family = self._place(view)
        instance, _, table_id = table.rpartition("/tables/")
        create = self._call(
            "bigtable.admin.v2.BigtableTableAdmin/CreateTable", _admin().CreateTableRequest, _admin().Table, view=view
        )
        try:
            create(_admin().CreateTableRequest.pb()(parent=instance, table_id=table_id))
        except grpc.RpcError as error:
            _refused(error, passing=grpc.StatusCode.ALREADY_EXISTS)
        request = _admin().ModifyColumnFamiliesRequest.pb()(name=table)
        change = request.modifications.add(id=family)
        change.create.gc_rule.max_num_versions = 1
        self._modify(view, request, passing=grpc.StatusCode.ALREADY_EXISTS)
        self._prepared.add(view)

    def forget(self, view: str) -> None:
        """Remove all rows of a view; one that never had any is no error."""
        self._prepared.discard(view)
        table, family = self._place(view)
        request = _admin().ModifyColumnFamiliesRequest.pb()(name=table)
        request.modifications.add(id=family, drop=True)
        self._modify(view, request, passing=grpc.StatusCode.NOT_FOUND)

    def write(self, view: str, qualifier: bytes, rows: Sequence[tuple[str, Any]]) -> None:
        """Put one cell a row, in the place of the one that is there.

        Args:
            view: Name of the feature view.
            qualifier: `default` or `dw`.
            rows: Row key and `FeatureViewInternalStorage`.
        """
        table, family = self._place(view)
        mutate = self._call(
            "bigtable.v2.Bigtable/MutateRows",
            _data().MutateRowsRequest,
            _data().MutateRowsResponse,
            view=view,
            streams=True,
        )
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            request = _data().MutateRowsRequest.pb()(table_name=table)
            for key, storage in rows[start : start + _ROWS_AT_ONCE]:
                entry = request.entries.add(row_key=key.encode())
                old = entry.mutations.add().delete_from_column
                old.family_name, old.column_qualifier = family, qualifier
                cell = entry.mutations.add().set_cell
                cell.family_name, cell.column_qualifier = family, qualifier
                cell.timestamp_micros = max(0, storage.feature_timestamp.ToMilliseconds()) * 1000
                cell.value = storage.SerializeToString()
            try:
                for response in mutate(request):
                    for entry in response.entries:
                        if entry.status.code:
                            raise Refused("INVALID_ARGUMENT", entry.status.message)
            except grpc.RpcError as error:
                _refused(error)

    def read(self, view: str, keys: Sequence[str]) -> Mapping[str, Mapping[bytes, Any]]:
        """Return the newest cells of rows by key and qualifier, each a `FeatureViewInternalStorage`."""
        name, family = self._place(view)
        from cloudmlops.emulators.google.bigtable.tables import tables_of  # here, because it loads Bigtable's packages

        tables = tables_of(self._surroundings.state, self._surroundings.clock)
        found: dict[str, dict[bytes, Any]] = {}
        with tables.lock:
            table = tables.get(name)
            for key in keys:
                for cell in tables.cells(table, key.encode()):
                    if cell.family == family:
                        # The newest of a column comes first.
                        row = found.setdefault(key, {})
                        row.setdefault(cell.qualifier, storage_type().FromString(cell.value))
        return found

    def _place(self, view: str) -> tuple[str, str]:
        """Return the table's name and the family."""
        store, _, family = view.rpartition("/featureViews/")
        where = self.metadata(store)
        return f"projects/{where.tenant_project_id}/instances/{where.instance_id}/tables/{where.table_id}", family

    def _modify(self, view: str, request: Any, *, passing: grpc.StatusCode) -> None:
        """Change families of a view's table, where a refusal may say that it is so already."""
        modify = self._call(
            "bigtable.admin.v2.BigtableTableAdmin/ModifyColumnFamilies",
            _admin().ModifyColumnFamiliesRequest,
            _admin().Table,
            view=view,
        )
        try:
            modify(request)
        except grpc.RpcError as error:
            _refused(error, passing=passing)

    def _call(self, path: str, request: Any, response: Any, *, view: str, streams: bool = False) -> Any:
        """Return a method of Bigtable, called by the service agent of a view's project."""
        kind = self._channel.unary_stream if streams else self._channel.unary_unary
        method = kind(
            f"/google.{path}",
            request_serializer=request.pb().SerializeToString,
            response_deserializer=response.pb().FromString,
        )
        token = self._tokens.agent("aiplatform", view.split("/")[1])
        return partial(method, metadata=(("authorization", f"Bearer {token}"),))

    @cached_property
    def _channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self._surroundings.address())


def newest(cells: Mapping[bytes, Any]) -> Any:
    """Return what counts of a row's two cells."""
    synced, written = cells.get(SYNCED), cells.get(WRITTEN)
    if synced is None or written is None:
        return synced if written is None else written
    return written if _nanoseconds(written) > _nanoseconds(synced) else synced


def _nanoseconds(storage: Any) -> int:
    return int(storage.feature_timestamp.ToNanoseconds())


def _refused(error: grpc.RpcError, *, passing: grpc.StatusCode | None = None) -> None:
    code = error.code()
    if code is not passing:
        raise Refused(code.name, str(error.details())) from error


# Bigtable's packages are loaded by the first sync, and not by every start of the emulator.
@cache
def _admin() -> Any:
    from google.cloud.bigtable_admin_v2 import types

    return types


@cache
def _data() -> Any:
    from google.cloud.bigtable_v2 import types

    return types
