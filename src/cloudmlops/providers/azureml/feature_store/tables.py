"""The platform's own tables: Delta, one folder each in the datastore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from cloudmlops.providers.azureml.feature_store.columns import storable
from cloudmlops.providers.azureml.feature_store.lake import Lake

if TYPE_CHECKING:
    import deltalake

    from cloudmlops.providers.azureml.backends import AzureMLBackends

_FOLDER: Final = "features/tables"


class Tables:
    """Tables by name."""

    def __init__(self, backends: AzureMLBackends, lake: Lake) -> None:
        self._backends = backends
        self._lake = lake

    def uri(self, name: str) -> str:
        """Return where a table lies."""
        return f"{self._backends.place.store(self._backends.settings.prefix)}/{_FOLDER}/{name}"

    def find(self, name: str, *, operation: str) -> deltalake.DeltaTable | None:
        """Open a table; None when there is none of that name."""
        return self._lake.table(self.uri(name), operation=operation, resource=name)

    def write(self, name: str, table: pa.Table, *, operation: str) -> None:
        """Keep rows as a table, in the place of those it had; at once, or not at all."""
        self._lake.replace(self.uri(name), storable(name, table), operation=operation, resource=name)

    def names(self) -> list[str]:
        """Return the names of all tables."""
        kept = self._backends.objects.list(f"{_FOLDER}/")
        return sorted({key.removeprefix(f"{_FOLDER}/").partition("/")[0] for key in kept})
