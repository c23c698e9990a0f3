"""Rows online: where they are served from, reading them, writing them directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
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

from cloudmlops.domain.capabilities import Capabilities, Capability
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, reduced
from cloudmlops.errors import NotFoundError, ServiceError
from cloudmlops.providers.vertex.errors import PROVIDER, translated
from cloudmlops.providers.vertex.feature_store.direct_reads import DirectReads
from cloudmlops.providers.vertex.feature_store.resources import Resources
from cloudmlops.providers.vertex.mapping.features import data_key
from cloudmlops.providers.vertex.mapping.served_rows import rows_of, served_of

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.wire import Wire

_AT_ONCE: Final = 16
_KEYS_A_MESSAGE: Final = 100
_Found = tuple[Sequence[FeatureRow], int]
_NOTHING: Final[_Found] = ((), 0)
_MICROSECOND: Final = 1000


class OnlineRows:
    """The rows of feature views, by key."""

    def __init__(self, wire: Wire, resources: Resources, capabilities: Capabilities) -> None:
        self._wire = wire
        self._resources = resources
        self._capabilities = capabilities
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

        Raises:
            UnsupportedError: Something is to be written, over REST.
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
            self._capabilities.require(Capability.FEATURE_PUSH)
            self._write(view, served, changed)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown()

    @cached_property
    def _direct(self) -> DirectReads | None:
        """The store's own table, when Google lets this project read it."""
        try:
            store = self._resources.store(operation="features.online")
        except NotFoundError:
            return None
        bigtable = store.bigtable
        if not bigtable.enable_direct_bigtable_access or not bigtable.bigtable_metadata.table_id:
            return None
        return DirectReads(self._wire, bigtable.bigtable_metadata)

    def _found(self, view: FeatureView, served: str, keys: Sequence[Any]) -> list[_Found]:
        """Return the rows kept of each key, and the time at which they are served in nanoseconds."""
        single = len(view.entity.keys) == 1
        wanted = {
            place: data_key(view, key) for place, key in enumerate(keys) if not (key is None if single else None in key)
        }
        found: list[_Found] = [_NOTHING] * len(keys)
        if not wanted:
            return found
        if self._direct is not None:
            answers = self._direct.read(served.rpartition("/")[2], list(wanted.values()), view=view.name)
        elif len(wanted) == 1:
            answers = [self._fetched(view, served, key) for key in wanted.values()]
        else:
            answers = list(self._pool.map(lambda key: self._fetched(view, served, key), wanted.values()))
        for place, answer in zip(wanted, answers, strict=True):
            if answer is not None:
                found[place] = (rows_of(view, answer[0]), answer[1])
        return found

    def _fetched(self, view: FeatureView, served: str, key: FeatureViewDataKey) -> tuple[Mapping[str, Any], int] | None:
        client = self._wire.client(FeatureOnlineStoreServiceClient)
        request = FetchFeatureValuesRequest(feature_view=served, data_key=key)
        try:
            reply = self._wire.ask(
                client.fetch_feature_values, request, operation="features.online", resource=view.name, again=True
            )
        except NotFoundError:
            return None
        features = FetchFeatureValuesResponse.pb(reply).key_values.features
        when = max((feature.value.metadata.generate_time.ToNanoseconds() for feature in features), default=0)
        return {feature.name: feature.value for feature in features}, when

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
