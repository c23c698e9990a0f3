# The library asks for none of it to read or write features: it is what the studio shows feature sets in.
resource "azurerm_machine_learning_workspace" "this" {
  name                          = "mlfs-${var.prefix}"
  resource_group_name           = var.resource_group
  location                      = var.location
  kind                          = "FeatureStore"
  sku_name                      = "Basic"
  application_insights_id       = var.parts.application_insights
  key_vault_id                  = var.parts.key_vault
  storage_account_id            = azurerm_storage_account.this.id
  storage_account_access_type   = "Identity" # the account has no keys that may be used
  public_network_access_enabled = true       # and every caller proves to Entra who it is
  v1_legacy_mode_enabled        = false
  tags                          = var.tags

  feature_store {
    computer_spark_runtime_version = var.spark.runtime
  }

  identity {
    type = "SystemAssigned"
  }
}

# An account of its own: who applies definitions writes files of the feature store's, and none of the other workspace's.
resource "azurerm_storage_account" "this" {
  name                              = "fs${replace(var.prefix, "-", "")}"
  resource_group_name               = var.resource_group
  location                          = var.location
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = var.replication
  access_tier                       = "Hot"
  is_hns_enabled                    = false # a workspace takes no account with a hierarchical namespace as its own
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  local_user_enabled                = false
  sftp_enabled                      = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  infrastructure_encryption_enabled = true
  public_network_access_enabled     = true # and every caller proves to Entra who it is
  tags                              = var.tags

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = var.keep_deleted_days
    }

    container_delete_retention_policy {
      days = var.keep_deleted_days
    }
  }
}
