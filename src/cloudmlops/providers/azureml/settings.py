"""Settings of the Azure Machine Learning provider."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic_settings import SettingsConfigDict

from cloudmlops.providers.azureml.formats import Compute, Datastore, Environment, Group, Subscription, Workspace
from cloudmlops.providers.formats import ApiUrl, Prefix
from cloudmlops.providers.targets import OrNone, TargetSettings


class AzureMLSettings(TargetSettings):
    """Which workspace, and how it is reached; also read from `CLOUDMLOPS_AZUREML_*` variables.

    Credentials are Azure's own chain (`DefaultAzureCredential`); none are kept here.
    """

    provider: ClassVar[str] = "azureml"
    located_by: ClassVar[tuple[str, ...]] = ("subscription", "resource_group", "workspace")
    hint: ClassVar[str] = "Write azureml://SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE, the subscription as its id."
    model_config = SettingsConfigDict(env_prefix="CLOUDMLOPS_AZUREML_", frozen=True, extra="forbid")

    subscription: Subscription
    """The subscription's id."""
    resource_group: Group
    workspace: Workspace
    datastore: Datastore = ""
    """Holds ledger, inbox, artifacts and snapshots, on Blob storage; empty is the workspace's default."""
    prefix: Prefix = "cloudmlops"
    """Folder in the datastore."""
    cloud_url: Annotated[ApiUrl | None, OrNone] = None
    """None, in a target `none`, is Azure's own cloud; the https address of an emulator, or of another cloud's resource
    manager, whose `/metadata/endpoints` tell the rest."""
    environment: Environment = ""
    """What steps run in, such as `azureml:flights:3`; a step may name an image."""
    compute: Compute = ""
    """Where runs run; empty is serverless compute."""

    @property
    def workspace_id(self) -> str:
        """The resource's id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )
