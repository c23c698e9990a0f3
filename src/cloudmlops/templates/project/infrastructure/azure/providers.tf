provider "azurerm" {
  subscription_id     = var.subscription
  tenant_id           = var.tenant
  storage_use_azuread = true # no account of the stack has keys that may be used

  # azurerm 5 registers none unless told; who may not register them has them registered, and takes this out.
  resource_provider_registrations = "none"
  resource_providers_to_register = [
    "Microsoft.Cache",
    "Microsoft.ContainerRegistry",
    "Microsoft.EventGrid",
    "Microsoft.KeyVault",
    "Microsoft.MachineLearningServices",
    "Microsoft.ManagedIdentity",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "microsoft.insights",
  ]

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
