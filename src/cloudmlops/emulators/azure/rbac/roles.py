"""Built-in roles, as Microsoft documents their actions (learn.microsoft.com, "Azure built-in roles").

Actions are provider operations with `*`; a role grants what one of its actions matches and none of its notActions does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_ML: Final = "Microsoft.MachineLearningServices"
_BLOBS: Final = "Microsoft.Storage/storageAccounts/blobServices/containers"
_AUTHORIZATION: Final = "Microsoft.Authorization"


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """What somebody who has it may do."""

    id: str
    """The definition's id, a UUID."""
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    custom: bool = False
    assignable: tuple[str, ...] = ("/",)
    description: str = ""
    created_on: str = "2015-02-02T21:55:09.8806423Z"
    """Of built-in ones the same moment for all."""
    created_by: str | None = None
    """The object id of who made it; Azure itself is none."""

    @property
    def definition(self) -> dict[str, Any]:
        """The resource that Azure Resource Manager shows."""
        return {
            "id": f"/providers/Microsoft.Authorization/roleDefinitions/{self.id}",
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": self.id,
            "properties": {
                "roleName": self.name,
                "type": "CustomRole" if self.custom else "BuiltInRole",
                "description": self.description,
                "assignableScopes": list(self.assignable),
                "permissions": [
                    {
                        "actions": list(self.actions),
                        "notActions": list(self.not_actions),
                        "dataActions": list(self.data_actions),
                        "notDataActions": list(self.not_data_actions),
                    }
                ],
                "createdOn": self.created_on,
                "updatedOn": self.created_on,
                "createdBy": self.created_by,
                "updatedBy": self.created_by,
            },
        }


BUILT_IN: Final = (
    Role(
        id="8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        name="Owner",
        actions=("*",),
        description="Grants full access to manage all resources, including the ability to assign roles.",
    ),
    Role(
        id="b24988ac-6180-42a0-ab88-20f7382dd24c",
        name="Contributor",
        actions=("*",),
        not_actions=(
            f"{_AUTHORIZATION}/*/Delete",
            f"{_AUTHORIZATION}/*/Write",
            f"{_AUTHORIZATION}/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
            "Microsoft.Purview/consents/write",
            "Microsoft.Purview/consents/delete",
        ),
        description="Grants full access to manage all resources, but does not allow to assign roles.",
    ),
    Role(
        id="acdd72a7-3385-48ef-bd42-f606fba81ae7",
        name="Reader",
        actions=("*/read",),
        description="View all resources, but does not allow to make any changes.",
    ),
    Role(
        id="18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        name="User Access Administrator",
        actions=("*/read", f"{_AUTHORIZATION}/*", "Microsoft.Support/*"),
        description="Lets you manage user access to Azure resources.",
    ),
    Role(
        id="f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        name="Role Based Access Control Administrator",
        actions=(
            f"{_AUTHORIZATION}/roleAssignments/write",
            f"{_AUTHORIZATION}/roleAssignments/delete",
            "*/read",
            "Microsoft.Support/*",
        ),
        description="Manage access to Azure resources by assigning roles using Azure RBAC.",
    ),
    Role(
        id="f6c7c914-8db3-469d-8ca1-694a8f32e121",
        name="AzureML Data Scientist",
        actions=(
            f"{_ML}/workspaces/*/read",
            f"{_ML}/workspaces/*/action",
            f"{_ML}/workspaces/*/delete",
            f"{_ML}/workspaces/*/write",
        ),
        not_actions=(
            f"{_ML}/workspaces/delete",
            f"{_ML}/workspaces/write",
            f"{_ML}/workspaces/computes/*/write",
            f"{_ML}/workspaces/computes/*/delete",
            f"{_ML}/workspaces/computes/listKeys/action",
            f"{_ML}/workspaces/listKeys/action",
            f"{_ML}/workspaces/hubs/write",
            f"{_ML}/workspaces/hubs/delete",
            f"{_ML}/workspaces/featurestores/write",
            f"{_ML}/workspaces/featurestores/delete",
        ),
        description="Can perform all actions within an Azure Machine Learning workspace, except for creating or "
        "deleting compute resources and modifying the workspace itself.",
    ),
    Role(
        id="e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
        name="AzureML Compute Operator",
        actions=(f"{_ML}/workspaces/computes/*", f"{_ML}/workspaces/notebooks/vm/*"),
        description="Can access and perform CRUD operations on Machine Learning Services managed compute resources.",
    ),
    Role(
        id="1823dd4f-9b8c-4ab6-ab4e-7397a3684615",
        name="AzureML Registry User",
        actions=(f"{_ML}/registries/read", f"{_ML}/registries/assets/*"),
        description="Can perform all actions on Machine Learning Services Registry assets as well as get Registry "
        "resources.",
    ),
    Role(
        id="635dd51f-9968-44d3-b7fb-6d9a6bd613ae",
        name="AzureML Metrics Writer (preview)",
        actions=(f"{_ML}/workspaces/metrics/*/write",),
        description="Lets you write metrics to AzureML workspace.",
    ),
    Role(
        id="ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        name="Storage Blob Data Contributor",
        actions=(
            f"{_BLOBS}/delete",
            f"{_BLOBS}/read",
            f"{_BLOBS}/write",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=(
            f"{_BLOBS}/blobs/delete",
            f"{_BLOBS}/blobs/read",
            f"{_BLOBS}/blobs/write",
            f"{_BLOBS}/blobs/move/action",
            f"{_BLOBS}/blobs/add/action",
        ),
        description="Allows for read, write and delete access to Azure Storage blob containers and data.",
    ),
    Role(
        id="2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        name="Storage Blob Data Reader",
        actions=(
            f"{_BLOBS}/read",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=(f"{_BLOBS}/blobs/read",),
        description="Allows for read access to Azure Storage blob containers and data.",
    ),
    Role(
        id="b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        name="Storage Blob Data Owner",
        actions=(
            f"{_BLOBS}/*",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=(f"{_BLOBS}/blobs/*",),
        description="Allows for full access to Azure Storage blob containers and data, including assigning POSIX "
        "access control.",
    ),
    Role(
        id="db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
        name="Storage Blob Delegator",
        actions=("Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",),
        description="Allows for generation of a user delegation key which can be used to sign SAS tokens.",
    ),
    Role(
        id="1e241071-0855-49ea-94dc-649edcd759de",
        name="EventGrid Contributor",
        actions=(
            f"{_AUTHORIZATION}/*/read",
            "Microsoft.EventGrid/*",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
        ),
        description="Lets you manage EventGrid operations.",
    ),
    Role(
        id="2414bbcf-6497-4faf-8c65-045460748405",
        name="EventGrid EventSubscription Reader",
        actions=(
            f"{_AUTHORIZATION}/*/read",
            "Microsoft.EventGrid/eventSubscriptions/read",
            "Microsoft.EventGrid/topicTypes/eventSubscriptions/read",
            "Microsoft.EventGrid/locations/eventSubscriptions/read",
            "Microsoft.EventGrid/locations/topicTypes/eventSubscriptions/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        description="Lets you read EventGrid event subscriptions.",
    ),
    Role(
        id="d5a91429-5739-47e2-a06b-3470a27159e7",
        name="EventGrid Data Sender",
        actions=(
            f"{_AUTHORIZATION}/*/read",
            "Microsoft.EventGrid/topics/read",
            "Microsoft.EventGrid/domains/read",
            "Microsoft.EventGrid/partnerNamespaces/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.EventGrid/namespaces/read",
        ),
        data_actions=("Microsoft.EventGrid/events/send/action",),
        description="Allows send access to event grid events.",
    ),
    Role(
        id="428e0ff0-5e57-4d9c-a221-2c70d0e0a443",
        name="EventGrid EventSubscription Contributor",
        actions=(
            f"{_AUTHORIZATION}/*/read",
            "Microsoft.EventGrid/eventSubscriptions/*",
            "Microsoft.EventGrid/topicTypes/eventSubscriptions/read",
            "Microsoft.EventGrid/locations/eventSubscriptions/read",
            "Microsoft.EventGrid/locations/topicTypes/eventSubscriptions/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
        ),
        description="Lets you manage EventGrid event subscription operations.",
    ),
    Role(
        id="78cbd9e7-9798-4e2e-9b5a-547d9ebb31fb",
        name="EventGrid Data Receiver",
        actions=(
            f"{_AUTHORIZATION}/*/read",
            "Microsoft.EventGrid/namespaces/topics/eventSubscriptions/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        data_actions=("Microsoft.EventGrid/events/receive/action",),
        description="Allows receive access to event grid events.",
    ),
)
