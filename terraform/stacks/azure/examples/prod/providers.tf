provider "azurerm" {
  subscription_id     = var.subscription
  tenant_id           = var.tenant
  storage_use_azuread = true # no account of the stack has keys that may be used

  features {
    key_vault {
      purge_soft_delete_on_destroy = false # and what is protected from purging could not be
    }

    resource_group {
      prevent_deletion_if_contains_resources = true
    }
  }
}

provider "azapi" {
  subscription_id = var.subscription
  tenant_id       = var.tenant
}

provider "azuread" {
  tenant_id = var.tenant
}
