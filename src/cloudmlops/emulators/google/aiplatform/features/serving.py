"""Fetching and writing directly: FeatureOnlineStoreService."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from google.rpc import code_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.features.stored_rows import WRITTEN, StoredRows, newest, storage_type
from cloudmlops.emulators.google.aiplatform.features.syncing import Syncing
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex

_SERVICE: Final = "FeatureOnlineStoreService"
_TOKEN_HOLDS: Final = timedelta(hours=1)
_PROTO_STRUCT: Final = 2
"""Of `FeatureViewDataFormat`."""


class Serving:
    """Answers with rows of online stores."""

    def __init__(self, vertex: Vertex, syncing: Syncing, rows: StoredRows) -> None:
        self._vertex = vertex
        self._syncing = syncing
        self._rows = rows
        self._servable: set[str] = set()
        """Views that were synced; that stays so as long as they are there."""

    def handlers(self) -> Handlers:
        """What is answered."""
        return {
            f"{_SERVICE}.FetchFeatureValues": self.fetch,
            f"{_SERVICE}.StreamingFetchFeatureValues": self.fetch_stream,
            f"{_SERVICE}.FeatureViewDirectWrite": self.write,
            f"{_SERVICE}.GenerateFetchAccessToken": self.token,
        }

    def fetch(self, request: Any, _: Asking) -> Any:
        view = request.feature_view
        self._check_servable(view)
        key = _row_key(request.data_key)
        cells = self._rows.read(view, [key]).get(key)
        if cells is None:
            raise Refused("NOT_FOUND", f"There are no feature values of the entity {key!r} in {view}.")
        response = _response(newest(cells), request.data_format)
        response.data_key.CopyFrom(request.data_key)
        return response

    def fetch_stream(self, requests: Iterable[Any], _: Asking) -> Iterator[Any]:
        kind = message("StreamingFetchFeatureValuesResponse", "v1beta1")
        for request in requests:
            self._check_servable(request.feature_view)
            keys = [_row_key(key) for key in request.data_keys]
            found = self._rows.read(request.feature_view, keys)
            response = kind()
            for asked, key in zip(request.data_keys, keys, strict=True):
                if key not in found:
                    response.data_keys_with_error.append(asked)
                    continue
                answer = _response(newest(found[key]), request.data_format)
                response.data.add().MergeFromString(answer.SerializeToString())
                response.data[-1].data_key.CopyFrom(asked)
            if response.data_keys_with_error:
                response.status.code = code_pb2.NOT_FOUND
                response.status.message = "Some entities have no feature values."
            yield response

    def write(self, requests: Iterable[Any], _: Asking) -> Iterator[Any]:
        """Write each message's rows; what is older than what was written before is passed over."""
        view = ""
        for request in requests:
            view = request.feature_view or view
            self._check_servable(view)
            yield self._written(view, request)

    def token(self, request: Any, _: Asking) -> Any:
        self._vertex.resources.get(request.feature_view, message("FeatureView"))
        response = message("GenerateFetchAccessTokenResponse")(access_token=f"emulated.{secrets.token_urlsafe(16)}")
        expires = self._vertex.surroundings.clock.now() + _TOKEN_HOLDS
        response.expire_time.FromDatetime(expires.replace(tzinfo=None))
        return response

    def _written(self, view: str, request: Any) -> Any:
        now = self._vertex.surroundings.clock.now().replace(tzinfo=None)
        rows: dict[str, Any] = {}
        for row in request.data_key_and_feature_values:
            storage = storage_type()()
            for feature in row.features:
                stated = feature.value.metadata.generate_time
                if feature.value.metadata.HasField("generate_time") and (
                    not storage.HasField("feature_timestamp")
                    or stated.ToNanoseconds() > storage.feature_timestamp.ToNanoseconds()
                ):
                    storage.feature_timestamp.CopyFrom(stated)
                data = storage.feature_data.add(name=feature.name)
                value = message("FeatureValue")()
                value.CopyFrom(feature.value)
                value.ClearField("metadata")
                if value.WhichOneof("value") is not None:
                    data.values.append(value)
            if not storage.HasField("feature_timestamp"):
                storage.feature_timestamp.FromDatetime(now)
            rows[_row_key(row.data_key)] = storage
        known = self._rows.read(view, list(rows))
        newer = []
        for key, storage in rows.items():
            before = known.get(key, {}).get(WRITTEN)
            if before is None or before.feature_timestamp.ToNanoseconds() <= storage.feature_timestamp.ToNanoseconds():
                newer.append((key, storage))
        self._rows.write(view, WRITTEN, newer)
        response = message("FeatureViewDirectWriteResponse")()
        response.status.code = code_pb2.OK
        for row in request.data_key_and_feature_values:
            written = response.write_responses.add()
            written.data_key.CopyFrom(row.data_key)
            written.online_store_write_time.FromDatetime(now)
        return response

    def _check_servable(self, view: str) -> None:
        if not self._vertex.resources.exists(view):
            self._servable.discard(view)
            raise Refused("NOT_FOUND", f"The FeatureView {view} does not exist.")
        if view not in self._servable:
            if not self._syncing.done(view):
                raise Refused("FAILED_PRECONDITION", f"The FeatureView {view} has not been synced yet.")
            self._servable.add(view)


def _row_key(data_key: Any) -> str:
    kind = data_key.WhichOneof("key_oneof")
    key = data_key.key if kind == "key" else ":".join(data_key.composite_key.parts)
    if not key:
        raise Refused("INVALID_ARGUMENT", "data_key is required and cannot be empty.")
    return str(key)


def _response(storage: Any, form: int) -> Any:
    kind = message("FetchFeatureValuesResponse")
    response = kind()
    if form == _PROTO_STRUCT:
        for data in storage.feature_data:
            response.proto_struct.fields[data.name].CopyFrom(_json_value(data))
        return response
    response.key_values.SetInParent()
    for data in storage.feature_data:
        pair = response.key_values.features.add(name=data.name)
        if data.values:
            pair.value.CopyFrom(data.values[0])
        pair.value.metadata.generate_time.CopyFrom(storage.feature_timestamp)
    return response


def _json_value(data: Any) -> Any:
    if not data.values:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    value = data.values[0]
    kind = value.WhichOneof("value")
    content = getattr(value, kind)
    if kind.endswith("_array_value"):
        return struct_pb2.Value(list_value=json_format.ParseDict(list(content.values), struct_pb2.ListValue()))
    if kind == "bytes_value":
        return struct_pb2.Value(string_value=base64.b64encode(content).decode())
    if isinstance(content, bool):
        return struct_pb2.Value(bool_value=content)
    if isinstance(content, str):
        return struct_pb2.Value(string_value=content)
    return struct_pb2.Value(number_value=float(content))
