# What the workspace tells goes to the same topic, so that one worker pulls all; and to a webhook, if there is one.
resource "azurerm_eventgrid_system_topic" "workspace" {
  name                = "evgt-${var.prefix}"
  resource_group_name = var.resource_group.name
  location            = var.location
  source_resource_id  = var.workspace_id
  topic_type          = "Microsoft.MachineLearningServices.Workspaces"
  tags                = var.tags

  identity {
    type = "SystemAssigned"
  }
}

locals {
  event_types = [for kind in sort(var.kinds) : "Microsoft.MachineLearningServices.${kind}"]
}

resource "azapi_resource" "to_topic" {
  type      = "Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15"
  name      = "to-topic"
  parent_id = azurerm_eventgrid_system_topic.workspace.id

  body = {
    properties = {
      eventDeliverySchema = "CloudEventSchemaV1_0"
      filter              = { includedEventTypes = local.event_types }
      retryPolicy         = { maxDeliveryAttempts = 30, eventTimeToLiveInMinutes = 1440 }
      deliveryWithResourceIdentity = {
        identity = { type = "SystemAssigned" }
        destination = {
          endpointType = "NamespaceTopic"
          properties   = { resourceId = azurerm_eventgrid_namespace_topic.this.id }
        }
      }
      deadLetterWithResourceIdentity = {
        identity = { type = "SystemAssigned" }
        deadLetterDestination = {
          endpointType = "StorageBlob"
          properties = {
            resourceId        = var.storage_account_id
            blobContainerName = azurerm_storage_container.undelivered.name
          }
        }
      }
    }
  }

  depends_on = [time_sleep.roles_count]
}

resource "azurerm_role_assignment" "to_topic" {
  scope                = azurerm_eventgrid_namespace_topic.this.id
  role_definition_name = "EventGrid Data Sender"
  principal_id         = azurerm_eventgrid_system_topic.workspace.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}
