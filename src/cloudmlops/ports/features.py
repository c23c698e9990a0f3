"""What a provider supplies for features.

`Table` is an Arrow table; ports know no packages, so its type is not named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow

Table = Any


class OnlineReader(Protocol):
    """Reads one view's stored rows; made once, called often, by any thread."""

    def __call__(self, keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
        """Return for each key the rows kept of it, greatest first; none for an unknown key or one with a null part.

        Args:
            keys: Values of the key column; of tuples of them where the entity has several.
        """
        ...


class FeaturesPort(Protocol):
    """The provider's part of features: an engine for history and a store for reading online."""

    def source_faults(self, view: FeatureView) -> list[str]:
        """Look at the view's source without reading it all; list in words what does not fit the view."""
        ...

    def register(self, view: FeatureView) -> None:
        """Make what the provider shows of a view, and what serves it; again is no error."""
        ...

    def join(self, views: Sequence[FeatureView], entities: Table) -> Table:
        """Join to each row of `entities` the feature values known at its time: rules 2 to 5 of `domain.point_in_time`.

        Args:
            views: The views to read.
            entities: (n, k + 1): each join key in its declared type, and `event_time` in UTC microseconds.

        Returns:
            (n, f): the views' output columns alone, in the order of `entities`.
        """
        ...

    def materialize(self, view: FeatureView, *, at: datetime, rebuild: bool) -> int:
        """Write what is known of each key at a time to the online store, where it is newer; return the number of keys.

        With `rebuild` it takes the place of all that is stored of the view, in one step. May be killed at any moment
        and called again.
        """
        ...

    def push(self, view: FeatureView, rows: Table) -> None:
        """Write rows, whose columns are the view's and have the declared types, to the online store, where newer."""
        ...

    def reader(self, view: FeatureView) -> OnlineReader:
        """Prepare reading a view online."""
        ...

    def write_table(self, name: str, table: Table) -> None:
        """Keep a table under a name, replacing the one that had it."""
        ...
