output "container_id" {
  description = "Resource id of the container behind the datastore: roles are given on it."
  value       = azurerm_storage_container.this.id
}

output "datastore" {
  description = "Name of the datastore; the library's setting `datastore`."
  value       = azurerm_machine_learning_datastore_blobstorage.this.name
}

output "parts" {
  description = "Resource ids of what the workspace is attached to, for a feature store beside it: `application_insights`, `key_vault`, `storage_account`."
  value = {
    application_insights = azurerm_application_insights.this.id
    key_vault            = azurerm_key_vault.this.id
    storage_account      = azurerm_storage_account.this.id
  }
}

output "registry" {
  description = "Container registry: its `id`, and the host that its images are called by, `server`."
  value = {
    id     = azurerm_container_registry.this.id
    server = azurerm_container_registry.this.login_server
  }
}

output "resource_group" {
  description = "Name of the resource group; the library's setting `resource_group`."
  value       = local.group.name
}

output "resource_group_id" {
  description = "Resource id of the resource group."
  value       = local.group.id
}

output "storage_account_id" {
  description = "Resource id of the storage account."
  value       = azurerm_storage_account.this.id
}

output "workspace" {
  description = "Name of the workspace; the library's setting `workspace`."
  value       = azurerm_machine_learning_workspace.this.name
}

output "workspace_id" {
  description = "Resource id of the workspace."
  value       = azurerm_machine_learning_workspace.this.id
}
