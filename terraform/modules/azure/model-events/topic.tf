# The library's own events go to a topic of a namespace; workers pull them from a subscription of it, and the workspace's.
resource "azurerm_eventgrid_namespace" "this" {
  name                  = "evgns-${var.prefix}"
  resource_group_name   = var.resource_group.name
  location              = var.location
  sku                   = "Standard"
  capacity              = 1
  public_network_access = "Enabled" # and every caller proves to Entra who it is
  tags                  = var.tags

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_eventgrid_namespace_topic" "this" {
  name                    = "mlops"
  eventgrid_namespace_id  = azurerm_eventgrid_namespace.this.id
  event_retention_in_days = 7
}

resource "azapi_resource" "worker" {
  type      = "Microsoft.EventGrid/namespaces/topics/eventSubscriptions@2025-02-15"
  name      = "worker"
  parent_id = azurerm_eventgrid_namespace_topic.this.id

  body = {
    properties = {
      eventDeliverySchema = "CloudEventSchemaV1_0"
      deliveryConfiguration = {
        deliveryMode = "Queue"
        queue = {
          receiveLockDurationInSeconds = var.lock_seconds
          maxDeliveryCount             = var.attempts
          eventTimeToLive              = "P7D"
          deadLetterDestinationWithResourceIdentity = {
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
    }
  }

  depends_on = [time_sleep.roles_count]
}
