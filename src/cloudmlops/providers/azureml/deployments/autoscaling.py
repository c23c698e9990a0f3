"""Replicas that follow the load: an autoscale setting of Azure Monitor on a deployment, beside it in its group.

The rules are those of learn.microsoft.com, "Autoscale online endpoints": one machine more while the processors are
above 70 percent for five minutes, one less while they are below 30.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cloudmlops.errors import NotFoundError
from cloudmlops.providers.azureml.mapping import endpoints as mapping

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire
    from cloudmlops.providers.deployment_journal import Act

_VERSION: Final = "2022-10-01"


class Autoscaling:
    """The autoscale settings of one workspace's deployments."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._settings = wire.settings

    def follow(self, endpoint: str, act: Act, location: str) -> None:
        """Let a deployment's machines follow the load, if an act asks for that; the same again changes nothing.

        Raises:
            PermissionDeniedError: The caller may not set that; the role is on the resource group.
        """
        if _scales(act):
            target = mapping.deployment_id(self._settings, endpoint, act.deployed_id)
            self._wire.send(
                "PUT",
                self._path(endpoint, act),
                body=mapping.autoscaling_body(act, target=target, location=location),
                operation="endpoints.deploy",
                resource=f"{endpoint}/{act.name}",
            )

    def end(self, endpoint: str, act: Act, *, operation: str) -> None:
        """Remove the setting of an act that asked for one; one that is gone is no error."""
        if _scales(act):
            with suppress(NotFoundError):
                self._wire.send(
                    "DELETE", self._path(endpoint, act), operation=operation, resource=f"{endpoint}/{act.name}"
                )

    def _path(self, endpoint: str, act: Act) -> str:
        settings = self._settings
        name = mapping.autoscaling_name(mapping.deployment_id(settings, endpoint, act.deployed_id))
        return (
            f"/subscriptions/{settings.subscription}/resourceGroups/{settings.resource_group}"
            f"/providers/Microsoft.Insights/autoscalesettings/{name}?api-version={_VERSION}"
        )


def _scales(act: Act) -> bool:
    return act.replicas[0] != act.replicas[1]
