output "event_subscription" {
  description = "Name of the subscription that workers pull from; the library's setting `event_subscription`."
  value       = azapi_resource.worker.name
}

output "push_audience" {
  description = "Application that Event Grid's tokens are for; the library's setting `push_audience`. Null: nothing is pushed."
  value       = one([for one in azuread_application.push : one.client_id])
}

output "push_tenant" {
  description = "Tenant that issues the tokens; the library's setting `push_tenant`. Null: nothing is pushed."
  value       = try(var.webhook.tenant, null)
}

output "topic" {
  description = "Address that the library's events are published to; its setting `topic`."
  # Azure makes it up of the names; no attribute tells it.
  value = "https://${azurerm_eventgrid_namespace.this.name}.${var.location}-1.eventgrid.azure.net/topics/${azurerm_eventgrid_namespace_topic.this.name}"
}

output "topic_id" {
  description = "Resource id of the topic: roles are given on it."
  value       = azurerm_eventgrid_namespace_topic.this.id
}
