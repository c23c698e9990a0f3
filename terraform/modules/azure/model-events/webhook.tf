# Event Grid proves itself to the webhook with a token of Entra for this application; the library asks for it. Who runs
# Terraform needs to be let make applications in Entra, and becomes the owner of this one.
locals {
  event_grid = "4962773b-9cdb-44cf-a8bf-237846a00ab7" # Event Grid itself, in every tenant
  subscriber = "AzureEventGridSecureWebhookSubscriber"
  pushes     = var.webhook == null ? {} : { this = var.webhook }
}

data "azuread_client_config" "current" {
  for_each = local.pushes
}

data "azuread_service_principal" "event_grid" {
  for_each = local.pushes

  client_id = local.event_grid
}

resource "azuread_application" "push" {
  for_each = local.pushes

  display_name            = "${var.prefix} events"
  sign_in_audience        = "AzureADMyOrg"
  owners                  = [data.azuread_client_config.current["this"].object_id]
  prevent_duplicate_names = true

  # So that a token's audience is the client id, as the library is told.
  api {
    requested_access_token_version = 2
  }

  app_role {
    id                   = uuidv5("url", "urn:cloudmlops:${local.subscriber}")
    allowed_member_types = ["Application", "User"]
    display_name         = local.subscriber
    description          = "May push events, or subscribe for them."
    value                = local.subscriber
    enabled              = true
  }
}

resource "azuread_service_principal" "push" {
  for_each = local.pushes

  client_id                    = azuread_application.push["this"].client_id
  owners                       = [data.azuread_client_config.current["this"].object_id]
  app_role_assignment_required = true # no other application of the tenant gets a token for this one
}

resource "azuread_app_role_assignment" "push" {
  for_each = var.webhook == null ? {} : {
    event_grid = data.azuread_service_principal.event_grid["this"].object_id
    subscriber = data.azuread_client_config.current["this"].object_id
  }

  app_role_id         = uuidv5("url", "urn:cloudmlops:${local.subscriber}")
  principal_object_id = each.value
  resource_object_id  = azuread_service_principal.push["this"].object_id
}

resource "azurerm_eventgrid_system_topic_event_subscription" "webhook" {
  for_each = { for name, push in local.pushes : name => push if push.url != null }

  name                  = "to-webhook"
  system_topic          = azurerm_eventgrid_system_topic.workspace.name
  resource_group_name   = var.resource_group.name
  event_delivery_schema = "CloudEventSchemaV1_0"
  included_event_types  = local.event_types

  webhook_endpoint {
    url                               = each.value.url
    active_directory_tenant_id        = each.value.tenant
    active_directory_app_id_or_uri    = azuread_application.push["this"].client_id
    max_events_per_batch              = 1
    preferred_batch_size_in_kilobytes = 64
  }

  storage_blob_dead_letter_destination {
    storage_account_id          = var.storage_account_id
    storage_blob_container_name = azurerm_storage_container.undelivered.name
  }

  dead_letter_identity {
    type = "SystemAssigned"
  }

  retry_policy {
    max_delivery_attempts = 30
    event_time_to_live    = 1440
  }

  depends_on = [time_sleep.roles_count, azuread_app_role_assignment.push]
}
