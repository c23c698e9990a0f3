mock_provider "azurerm" {}

variables {
  location = "westeurope"
  prefix   = "acme-dev"
  tenant   = "00000000-0000-0000-0000-000000000002"
}

run "everything_is_named_after_the_prefix_and_lies_in_a_group_of_its_own" {
  command = plan

  assert {
    condition     = output.resource_group == "rg-acme-dev" && length(azurerm_resource_group.this) == 1
    error_message = "the resource group is called ${output.resource_group}"
  }

  assert {
    condition     = output.workspace == "mlw-acme-dev" && azurerm_machine_learning_workspace.this.kind == "Default"
    error_message = "the workspace is called ${output.workspace}"
  }

  assert {
    condition     = output.datastore == "cloudmlops" && azurerm_storage_container.this.name == "cloudmlops"
    error_message = "the datastore is called ${output.datastore}"
  }

  assert {
    condition = (
      azurerm_storage_account.this.name == "stacmedev" && azurerm_container_registry.this.name == "cracmedev" &&
      azurerm_key_vault.this.name == "kv-acme-dev"
    )
    error_message = "storage, registry or key vault are called otherwise"
  }

  assert {
    condition = alltrue([
      for one in [
        azurerm_machine_learning_workspace.this, azurerm_storage_account.this, azurerm_key_vault.this,
        azurerm_container_registry.this, azurerm_application_insights.this, azurerm_log_analytics_workspace.this,
      ] : one.resource_group_name == "rg-acme-dev" && one.location == "westeurope"
    ])
    error_message = "something lies elsewhere"
  }
}

run "storage_has_no_keys_and_shows_nothing_to_strangers" {
  command = plan

  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && azurerm_machine_learning_workspace.this.storage_account_access_type == "Identity"
    error_message = "keys of the account may be used"
  }

  assert {
    condition     = !azurerm_storage_account.this.allow_nested_items_to_be_public && azurerm_storage_container.this.container_access_type == "private"
    error_message = "blobs may be public"
  }

  assert {
    condition = (
      azurerm_storage_account.this.min_tls_version == "TLS1_2" && azurerm_storage_account.this.https_traffic_only_enabled &&
      !azurerm_storage_account.this.local_user_enabled && !azurerm_storage_account.this.sftp_enabled &&
      !azurerm_storage_account.this.cross_tenant_replication_enabled
    )
    error_message = "storage is reached without TLS, by local users or from other tenants"
  }
}

run "what_was_deleted_or_overwritten_comes_back_for_a_month" {
  command = plan

  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].versioning_enabled
    error_message = "blobs have no versions"
  }

  assert {
    condition = (
      azurerm_storage_account.this.blob_properties[0].delete_retention_policy[0].days == 30 &&
      azurerm_storage_account.this.blob_properties[0].container_delete_retention_policy[0].days == 30 &&
      azurerm_key_vault.this.soft_delete_retention_days == 30
    )
    error_message = "it comes back for another time"
  }

  assert {
    condition     = azurerm_storage_management_policy.this.rule[0].actions[0].version[0].delete_after_days_since_creation == 30
    error_message = "former versions are paid for for ever, or end sooner"
  }
}

run "the_key_vault_cannot_be_purged_and_asks_entra" {
  command = plan

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "it can be purged, or has policies of its own"
  }
}

run "the_registry_has_no_admin" {
  command = plan

  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "it has an admin, or shows images to strangers"
  }
}

run "the_workspace_may_read_the_container_and_no_more" {
  command = plan

  assert {
    condition = (
      azurerm_role_assignment.workspace_reads.role_definition_name == "Storage Blob Data Reader" &&
      azurerm_role_assignment.workspace_reads.principal_type == "ServicePrincipal"
    )
    error_message = "it has another role"
  }
}

run "logs_have_a_limit_a_day" {
  command = plan

  assert {
    condition     = azurerm_log_analytics_workspace.this.daily_quota_gb == 1
    error_message = "they have none, or another"
  }
}

run "a_group_that_is_given_is_used" {
  command = plan

  variables {
    resource_group = "rg-theirs"
  }

  override_data {
    target = data.azurerm_resource_group.given[0]
    values = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-theirs", name = "rg-theirs" }
  }

  assert {
    condition     = length(azurerm_resource_group.this) == 0 && azurerm_machine_learning_workspace.this.resource_group_name == "rg-theirs"
    error_message = "another group is made, or used"
  }

  assert {
    condition     = endswith(output.resource_group_id, "/resourceGroups/rg-theirs")
    error_message = "its id is not told: ${output.resource_group_id}"
  }
}

run "outputs_are_known_when_all_is_made" {
  command = apply

  assert {
    condition = alltrue([
      for id in [output.workspace_id, output.container_id, output.storage_account_id, output.registry.id, output.parts.key_vault] :
      id != ""
    ])
    error_message = "an id is empty"
  }

  assert {
    condition     = azurerm_role_assignment.workspace_reads.scope == output.container_id
    error_message = "the workspace reads something else"
  }
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    container         = "cloud-mlops"
    keep_deleted_days = 400
    location          = "West Europe"
    log_gb_a_day      = 0
    prefix            = "Acme--1"
    registry_sku      = "Free"
    replication       = "RAGRS"
    resource_group    = "rg theirs."
    tenant            = "contoso.onmicrosoft.com"
  }

  expect_failures = [
    var.container, var.keep_deleted_days, var.location, var.log_gb_a_day, var.prefix, var.registry_sku, var.replication,
    var.resource_group, var.tenant,
  ]
}

run "a_long_prefix_is_refused" {
  command = plan

  variables {
    prefix = "a-very-long-prefix"
  }

  expect_failures = [var.prefix]
}

run "places_and_tags_that_azure_would_refuse_are_refused" {
  command = plan

  variables {
    tags = { "a/b" = "c" }
  }

  expect_failures = [var.tags]
}
