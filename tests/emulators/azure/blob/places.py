from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient, ContainerClient

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Place:
    """An account of Blob Storage that answers in plain HTTP, and the key that opens it."""

    name: str
    url: str
    account: str
    key: str

    def service(self, **options: object) -> BlobServiceClient:
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.url, credential=self.key, retry_total=0, **options)

    def container(self, **options: object) -> ContainerClient:
        """A new container."""
        return self.service(**options).create_container(f"container-{next(_numbers)}")

    def signed(self, url: str, permissions: str) -> str:
        """A blob's URL with a SAS of an hour."""
        from azure.storage.blob import BlobClient, generate_blob_sas

        blob = BlobClient.from_blob_url(url)
        signature = generate_blob_sas(
            self.account,
            blob.container_name,
            blob.blob_name,
            account_key=self.key,
            permission=permissions,
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{url}?{signature}"

    def differs(self, reason: str) -> None:
        """Expect a test to fail on Azurite."""
        if self.name == "azurite":
            pytest.xfail(reason)


def refused(call: Callable[[], object]) -> tuple[int | None, str]:
    """Return status and code of what a call is refused with."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    code = caught.value.error_code
    return caught.value.status_code, str(getattr(code, "value", code))
