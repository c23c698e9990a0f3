"""Rows online: where they are served from, reading them, writing them directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import FeatureOnlineStoreServiceClient
from google.cloud.aiplatform_v1.types import (
    FeatureValue,
    FeatureViewDataKey,
    FeatureViewDirectWriteRequest,
    FetchFeatureValuesRequest,
    FetchFeatureValuesResponse,
)
from google.protobuf.timestamp_pb2 import Timestamp

from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, reduced
from cloudmlops.errors import NotFoundError, ServiceError
from cloudmlops.providers.vertex.errors import PROVIDER, translated
from cloudmlops.providers.vertex.mapping.features import data_key, rows_of, served_of

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.wire import Wire

_AT_ONCE: Final = 16
_KEYS_A_MESSAGE: Final = 100
_MICROSECOND: Final = 1000


class OnlineRows:
    """The rows of feature views, by key."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cloudmlops-online")

    def read(self, view: FeatureView, served: str, keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
        """Return the rows kept of each key, greatest first.

        Args:
            view: The view.
            served: Full name of the feature view that serves it.
            keys: As an `OnlineReader` is asked.
        """
        return [rows for rows, _ in self._found(view, served, keys)]

    def write(self, view: FeatureView, served: str, rows: Sequence[tuple[Any, FeatureRow]]) -> None:
        """Write rows where they are newer, by rule 3, than what is served.

        The service takes the later of two writes by their times: one that has the same time as what it replaces is
        given a nanosecond more, for our own time travels in a feature of its own.
        """
        of: dict[Any, list[FeatureRow]] = {}
        for key, row in rows:
            of.setdefault(key, []).append(row)
        changed: list[tuple[Any, dict[str, FeatureValue], int]] = []
        for (key, arriving), (kept, before) in zip(of.items(), self._found(view, served, list(of)), strict=True):
            merged = reduced(view, [*kept, *arriving])
            if merged != list(kept):
                changed.append((key, served_of(view, merged), max(merged[0].ts * _MICROSECOND, before + 1)))
        if changed:
            self._write(view, served, changed)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown()

    def _found(self, view: FeatureView, served: str, keys: Sequence[Any]) -> Sequence[tuple[Sequence[FeatureRow], int]]:
        client = self._wire.client(FeatureOnlineStoreServiceClient)
        single = len(view.entity.keys) == 1

        def fetch(key: Any) -> tuple[Sequence[FeatureRow], int]:
            if key is None if single else None in key:
                return (), 0
            request = FetchFeatureValuesRequest(feature_view=served, data_key=data_key(view, key))
            try:
                reply = self._wire.ask(
                    client.fetch_feature_values, request, operation="features.online", resource=view.name, again=True
                )
            except NotFoundError:
                return (), 0
            features = FetchFeatureValuesResponse.pb(reply).key_values.features
            when = max((feature.value.metadata.generate_time.ToNanoseconds() for feature in features), default=0)
            return rows_of(view, {feature.name: feature.value for feature in features}), when

        if len(keys) == 1:
            return [fetch(keys[0])]
        return list(self._pool.map(fetch, keys))

    def _write(
        self, view: FeatureView, served: str, changed: Sequence[tuple[Any, dict[str, FeatureValue], int]]
    ) -> None:
        client = self._wire.client(FeatureOnlineStoreServiceClient)
        with translated("features.push", view.name):
            replies = client.feature_view_direct_write(
                requests=_messages(view, served, changed), timeout=self._wire.timeout
            )
            for reply in replies:
                if reply.status.code:
                    raise ServiceError(
                        f"rows of feature view {view.name!r} were not written: {reply.status.message}",
                        hint="Push them again: what was written already stays as it is.",
                        provider=PROVIDER,
                        operation="features.push",
                        resource=view.name,
                    )


def _messages(
    view: FeatureView, served: str, changed: Sequence[tuple[Any, dict[str, FeatureValue], int]]
) -> Iterator[FeatureViewDirectWriteRequest]:
    for start in range(0, len(changed), _KEYS_A_MESSAGE):
        message = FeatureViewDirectWriteRequest.pb()(feature_view=served)
        for key, values, when in changed[start : start + _KEYS_A_MESSAGE]:
            moment = Timestamp()
            moment.FromNanoseconds(when)
            row = message.data_key_and_feature_values.add()
            row.data_key.CopyFrom(FeatureViewDataKey.pb(data_key(view, key)))
            for name, value in values.items():
                feature = row.features.add(name=name)
                feature.value.CopyFrom(FeatureValue.pb(value))
                feature.value.metadata.generate_time.CopyFrom(moment)
        yield FeatureViewDirectWriteRequest.wrap(message)
