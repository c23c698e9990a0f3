"""Which of Azure's clouds the workspace is in, and where its services are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest

from cloudmlops.errors import ConfigurationError, UnexpectedReplyError

_METADATA: Final = "/metadata/endpoints?api-version=2019-05-01"
_KNOWN_LOGINS: Final = frozenset(
    {
        "login.microsoftonline.com",
        "login.chinacloudapi.cn",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
    }
)
"""Hosts that vouch for each other; azure-identity asks the first of them about any other one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """One of Azure's clouds."""

    name: str
    portal: str
    resource_manager: str
    login: str
    storage: str
    """The end of storage hosts, such as `core.windows.net`."""

    @property
    def scope(self) -> str:
        """What a token for the resource manager is asked for."""
        return f"{self.resource_manager.rstrip('/')}/.default"

    @property
    def scoring_scope(self) -> str:
        """What a token for asking endpoints is asked for."""
        return f"{self.metadata['aml_resource_id']}/.default"

    @property
    def vouched_for(self) -> bool:
        """Whether its login is one of those that vouch for each other."""
        return urlsplit(self.login).hostname in _KNOWN_LOGINS

    @property
    def metadata(self) -> Mapping[str, str]:
        """It, as `MLClient` is told of clouds that it does not know."""
        end = ".".join(urlsplit(self.portal).netloc.split(".")[2:])
        return {
            "azure_portal": self.portal,
            "resource_manager": self.resource_manager,
            "active_directory": self.login,
            "aml_resource_id": f"https://ml.azure.{end}",
            "storage_endpoint": self.storage,
            "registry_discovery_endpoint": self.resource_manager,  # the metadata do not say where registries are
        }


PUBLIC: Final = Cloud(
    name="AzureCloud",
    portal="https://portal.azure.com/",
    resource_manager="https://management.azure.com/",
    login="https://login.microsoftonline.com/",
    storage="core.windows.net",
)


def cloud_at(url: str, transport: HttpTransport[Any, Any]) -> Cloud:
    """Ask a resource manager which cloud it is of.

    Args:
        url: Its address, such as `https://management.chinacloudapi.cn`.
        transport: How it is asked.

    Raises:
        ConfigurationError: It knows no cloud that it is of.
        azure.core.exceptions.AzureError: It does not answer, or not in the form of a resource manager.
    """
    client: PipelineClient[Any, Any] = PipelineClient(url, policies=[], transport=transport)
    answer = client.send_request(HttpRequest("GET", f"{url}{_METADATA}"))
    answer.raise_for_status()
    shown = answer.json()
    found = cloud_of(shown if isinstance(shown, list) else [shown], url)
    if found is None:
        raise ConfigurationError(
            f"the resource manager at {url} does not say which cloud it is of",
            hint="Set cloud_url to the address of a resource manager, such as https://management.azure.com.",
        )
    return found


def cloud_of(shown: Sequence[Mapping[str, Any]], url: str) -> Cloud | None:
    """Return the cloud whose resource manager is at an address, of those that a resource manager shows.

    Raises:
        UnexpectedReplyError: It shows a cloud without one of the addresses that are needed.
    """
    host = urlsplit(url).netloc
    one = next((one for one in shown if urlsplit(str(one.get("resourceManager", ""))).netloc == host), None)
    if one is None:
        return None
    try:
        return Cloud(
            name=one["name"],
            portal=one["portal"],
            resource_manager=one["resourceManager"],
            login=one["authentication"]["loginEndpoint"],
            storage=one["suffixes"]["storage"],
        )
    except KeyError as error:
        raise UnexpectedReplyError(
            f"the resource manager at {url} shows a cloud without {error}",
            provider="azureml",
            operation="connect",
            resource=url,
        ) from error
