"""Rows of an online store read from its Bigtable table, without the service between, where Google allows it.

The layout is that of Google's own reader (googleapis/java-vertex-feature-store, Apache-2.0: `fs.proto`,
`BigtableClient.java`): the row key is the entity id, the family the feature view's id;
the qualifiers `default` (synced) and `dw` (written directly) have one cell each, a `FeatureViewInternalStorage`, of
which the newer counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from google.api_core import grpc_helpers
from google.cloud.aiplatform_v1.types import FeatureOnlineStore, FeatureValue, FeatureViewDataKey
from google.cloud.bigtable_v2 import types as bigtable
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.providers.vertex.errors import PROVIDER

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.wire import Wire

_HOST: Final = "bigtable.googleapis.com"
_METHOD: Final = "/google.bigtable.v2.Bigtable/ReadRows"
_SYNCED: Final = b"default"
_WRITTEN: Final = b"dw"
_PACKAGE: Final = "cloudmlops.vertex"


class DirectReads:
    """One online store's table."""

    def __init__(self, wire: Wire, metadata: FeatureOnlineStore.Bigtable.BigtableMetadata) -> None:
        self._wire = wire
        self._table = (
            f"projects/{metadata.tenant_project_id}/instances/{metadata.instance_id}/tables/{metadata.table_id}"
        )

    def read(
        self, identity: str, keys: Sequence[FeatureViewDataKey], *, view: str
    ) -> list[tuple[Mapping[str, Any], int] | None]:
        """Return what is served of each entity and its time in nanoseconds; None of one that is not there.

        Args:
            identity: Of the feature view.
            keys: Of the entities.
            view: What it is in our names.

        Returns:
            Feature id to raw `FeatureValue`, one without a value for null.
        """
        asked = [row_key(key) for key in keys]
        request = bigtable.ReadRowsRequest.pb()(table_name=self._table)
        request.rows.row_keys.extend(sorted(set(asked)))
        filters = request.filter.chain.filters
        within = filters.add().column_range_filter
        within.family_name = identity
        within.start_qualifier_closed, within.end_qualifier_closed = _SYNCED, _WRITTEN
        filters.add().cells_per_column_limit_filter = 1
        replies = self._wire.ask(self._call, request, operation="features.online", resource=view, again=True)
        found: dict[bytes, Any] = {}
        for key, qualifier, value in _cells(replies, view):
            storage = storage_type().FromString(value)
            before = found.get(key)
            # `default` comes first, and stays when both have the same time.
            if qualifier in (_SYNCED, _WRITTEN) and (before is None or _when(storage) > _when(before)):
                found[key] = storage
        return [_features(found[key]) if key in found else None for key in asked]

    @cached_property
    def _call(self) -> Any:
        method = self._wire.channel(_HOST).unary_stream(
            _METHOD,
            request_serializer=bigtable.ReadRowsRequest.pb().SerializeToString,
            response_deserializer=bigtable.ReadRowsResponse.pb().FromString,
        )
        whole = grpc_helpers.wrap_errors(lambda request, timeout, metadata: list(method(request, timeout, metadata)))

        def call(*, request: Any, retry: Any, timeout: float) -> Any:
            routed = (("x-goog-request-params", f"table_name={self._table}"),)

            def once() -> Any:
                return whole(request, timeout, routed)

            return retry(once)() if retry is not None else once()

        return call


def row_key(key: FeatureViewDataKey) -> bytes:
    """Return the row that an entity has."""
    return (key.key or ":".join(key.composite_key.parts)).encode()


@cache
def storage_type() -> Any:
    """Return the class of `FeatureViewInternalStorage`; it is made here, for no package of Google's has it."""
    value = FeatureValue.pb().DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="cloudmlops/vertex_feature_storage.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[value.file.name, "google/protobuf/timestamp.proto"],
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    data = file.message_type.add(name="FeatureData")
    data.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    data.field.add(
        name="values", number=2, type=kinds.TYPE_MESSAGE, label=kinds.LABEL_REPEATED, type_name=f".{value.full_name}"
    )
    storage = file.message_type.add(name="FeatureViewInternalStorage")
    for name, number, label, kind in (
        ("feature_data", 1, kinds.LABEL_REPEATED, f".{_PACKAGE}.FeatureData"),
        ("feature_timestamp", 2, kinds.LABEL_OPTIONAL, ".google.protobuf.Timestamp"),
    ):
        storage.field.add(name=name, number=number, type=kinds.TYPE_MESSAGE, label=label, type_name=kind)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.FeatureViewInternalStorage"))


def _features(storage: Any) -> tuple[Mapping[str, Any], int]:
    none = FeatureValue.pb()()
    return {data.name: data.values[0] if data.values else none for data in storage.feature_data}, _when(storage)


def _when(storage: Any) -> int:
    return int(storage.feature_timestamp.ToNanoseconds())


def _cells(replies: Sequence[Any], view: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Put the chunks of an answer together: row key, qualifier, value; a row counts when it is committed."""
    key = qualifier = b""
    parts: list[bytes] = []
    row: list[tuple[bytes, bytes, bytes]] = []
    for chunk in (chunk for reply in replies for chunk in reply.chunks):
        if chunk.reset_row:
            row, parts = [], []
            continue
        key = chunk.row_key or key
        if chunk.HasField("qualifier"):
            qualifier = chunk.qualifier.value
        parts.append(chunk.value)
        if not chunk.value_size:
            row.append((key, qualifier, b"".join(parts)))
            parts = []
        if chunk.commit_row:
            yield from row
            row = []
    if row or parts:
        raise UnexpectedReplyError(
            f"Bigtable's answer for feature view {view!r} ends within a row",
            provider=PROVIDER,
            operation="features.online",
            resource=view,
        )
