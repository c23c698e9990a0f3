resource "azurerm_storage_account" "this" {
  name                              = "st${local.plain}"
  resource_group_name               = local.group.name
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

resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "former-versions-end"
    enabled = true

    filters {
      blob_types = ["blockBlob"]
    }

    actions {
      version {
        delete_after_days_since_creation = var.keep_deleted_days
      }
    }
  }
}

resource "azurerm_storage_container" "this" {
  name                  = var.container
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

resource "azurerm_machine_learning_datastore_blobstorage" "this" {
  name                       = var.container
  workspace_id               = azurerm_machine_learning_workspace.this.id
  storage_container_id       = azurerm_storage_container.this.id
  description                = "Ledger, inbox, artifacts and features of cloudmlops."
  is_default                 = false # only an update can say true; the library is told the name
  service_data_auth_identity = "WorkspaceSystemAssignedIdentity"
  tags                       = var.tags
}

# The studio shows what is in the datastore as the workspace.
resource "azurerm_role_assignment" "workspace_reads" {
  scope                = azurerm_storage_container.this.id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = azurerm_machine_learning_workspace.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}
