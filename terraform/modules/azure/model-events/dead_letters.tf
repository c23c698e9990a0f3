resource "azurerm_storage_container" "undelivered" {
  name                  = "undelivered"
  storage_account_id    = var.storage_account_id
  container_access_type = "private"
}

# A role counts some time after it was given: what Event Grid is told to do as an identity waits for that.
resource "time_sleep" "roles_count" {
  create_duration = "90s"

  depends_on = [azurerm_role_assignment.dead_letters, azurerm_role_assignment.to_topic]
}

resource "azurerm_role_assignment" "dead_letters" {
  for_each = {
    topic     = azurerm_eventgrid_namespace.this.identity[0].principal_id
    workspace = azurerm_eventgrid_system_topic.workspace.identity[0].principal_id
  }

  scope                = azurerm_storage_container.undelivered.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value
  principal_type       = "ServicePrincipal"
}
