resource "azurerm_key_vault" "this" {
  name                          = "kv-${var.prefix}"
  resource_group_name           = local.group.name
  location                      = var.location
  tenant_id                     = var.tenant
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = var.keep_deleted_days
  public_network_access_enabled = true # and every caller proves to Entra who it is
  tags                          = var.tags
}

resource "azurerm_log_analytics_workspace" "this" {
  name                         = "log-${var.prefix}"
  resource_group_name          = local.group.name
  location                     = var.location
  sku                          = "PerGB2018"
  retention_in_days            = 30
  daily_quota_gb               = var.log_gb_a_day
  local_authentication_enabled = false
  tags                         = var.tags
}

resource "azurerm_application_insights" "this" {
  name                         = "appi-${var.prefix}"
  resource_group_name          = local.group.name
  location                     = var.location
  workspace_id                 = azurerm_log_analytics_workspace.this.id
  application_type             = "web"
  local_authentication_enabled = true # Azure ML writes with the connection string
  ip_masking_enabled           = true
  tags                         = var.tags
}

resource "azurerm_container_registry" "this" {
  name                          = "cr${local.plain}"
  resource_group_name           = local.group.name
  location                      = var.location
  sku                           = var.registry_sku
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = true # and every caller proves to Entra who it is
  tags                          = var.tags
}
