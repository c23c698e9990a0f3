"""Who asks an endpoint for predictions: the header that lets the caller in, renewed when it is too old.

Keys and tokens are held by the object that sends them and by nothing else: they are in no record, log or error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire

_HEADER: Final = "authorization"
_BY_ENTRA: Final = "aad_token"


class Caller(Mapping[str, str]):
    """The headers of one endpoint's requests.

    Args:
        wire: The way to Azure.
        endpoint: Its name.
        auth_mode: How it lets callers in, as azure-ai-ml says it.
    """

    def __init__(self, wire: Wire, endpoint: str, auth_mode: str) -> None:
        self._wire = wire
        self._endpoint = endpoint
        self._by_entra = auth_mode == _BY_ENTRA
        self._kept = ""
        self._asking = Lock()

    def renew(self) -> None:
        """Forget what the endpoint has refused: its key was changed, or its token has ended."""
        if self._by_entra:
            self._wire.credential.renew()
        with self._asking:
            self._kept = ""

    def __getitem__(self, name: str) -> str:
        if name != _HEADER:
            raise KeyError(name)
        return f"Bearer {self._secret()}"

    def __iter__(self) -> Iterator[str]:
        return iter((_HEADER,))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"Caller({self._endpoint!r})"

    def _secret(self) -> str:
        if self._by_entra:
            return self._wire.scoring_token()
        with self._asking:
            if not self._kept:
                found = self._wire.ask(
                    lambda: self._wire.client.online_endpoints.get_keys(self._endpoint),
                    operation="endpoints.predict",
                    resource=self._endpoint,
                )
                self._kept = str(getattr(found, "primary_key", None) or getattr(found, "access_token", ""))
            return self._kept
