locals {
  group = var.resource_group == null ? azurerm_resource_group.this[0] : data.azurerm_resource_group.given[0]
  # Names of storage accounts and registries have no hyphens.
  plain = replace(var.prefix, "-", "")
}

data "azurerm_resource_group" "given" {
  count = var.resource_group == null ? 0 : 1

  name = var.resource_group
}

resource "azurerm_resource_group" "this" {
  count = var.resource_group == null ? 1 : 0

  name     = "rg-${var.prefix}"
  location = var.location
  tags     = var.tags
}

resource "azurerm_machine_learning_workspace" "this" {
  name                          = "mlw-${var.prefix}"
  resource_group_name           = local.group.name
  location                      = var.location
  kind                          = "Default"
  sku_name                      = "Basic"
  application_insights_id       = azurerm_application_insights.this.id
  container_registry_id         = azurerm_container_registry.this.id
  key_vault_id                  = azurerm_key_vault.this.id
  storage_account_id            = azurerm_storage_account.this.id
  storage_account_access_type   = "Identity" # the account has no keys that may be used
  public_network_access_enabled = true       # and every caller proves to Entra who it is
  v1_legacy_mode_enabled        = false
  tags                          = var.tags

  # Azure itself lets this identity at what the workspace is attached to.
  identity {
    type = "SystemAssigned"
  }
}
