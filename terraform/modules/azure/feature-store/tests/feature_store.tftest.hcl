mock_provider "azurerm" {}

variables {
  location       = "westeurope"
  parts          = { application_insights = "insights", key_vault = "vault" }
  prefix         = "acme-dev"
  redis          = {}
  resource_group = "rg-acme-dev"
}

run "redis_has_no_keys_and_speaks_tls" {
  command = plan

  assert {
    condition = (
      !azurerm_managed_redis.this[0].default_database[0].access_keys_authentication_enabled &&
      azurerm_managed_redis.this[0].default_database[0].client_protocol == "Encrypted"
    )
    error_message = "it has keys, or speaks plainly"
  }

  assert {
    condition     = azurerm_managed_redis.this[0].default_database[0].clustering_policy == "EnterpriseCluster"
    error_message = "the library's client cannot follow it"
  }

  assert {
    condition     = azurerm_managed_redis.this[0].default_database[0].eviction_policy == "NoEviction"
    error_message = "rows that are served get lost when it is full"
  }

  assert {
    condition     = azurerm_managed_redis.this[0].sku_name == "Balanced_B0" && azurerm_managed_redis.this[0].high_availability_enabled
    error_message = "it is another size, or alone"
  }

  assert {
    condition     = length(azurerm_managed_redis_access_policy_assignment.user) == 0
    error_message = "somebody may use it whom nobody named"
  }
}

run "feature_sets_are_shown_by_a_workspace_of_that_kind" {
  command = plan

  assert {
    condition     = azurerm_machine_learning_workspace.this.kind == "FeatureStore" && output.feature_store == "mlfs-acme-dev"
    error_message = "it is another kind, or called ${output.feature_store}"
  }

  assert {
    condition     = azurerm_machine_learning_workspace.this.feature_store[0].computer_spark_runtime_version == "3.5"
    error_message = "its Spark is another one"
  }

  assert {
    condition     = azurerm_machine_learning_workspace.this.key_vault_id == "vault" && azurerm_machine_learning_workspace.this.application_insights_id == "insights"
    error_message = "it does not share what the workspace of models is attached to"
  }

  assert {
    condition = (
      azurerm_storage_account.this.name == "fsacmedev" && !azurerm_storage_account.this.shared_access_key_enabled &&
      !azurerm_storage_account.this.allow_nested_items_to_be_public && azurerm_storage_account.this.min_tls_version == "TLS1_2"
    )
    error_message = "its storage has keys, or may be public"
  }

  assert {
    condition     = output.spark_executors == 4 && output.spark_instance == "standard_e8s_v3" && output.spark_runtime == "3.5"
    error_message = "the library is told of another Spark"
  }
}

run "users_are_known_by_their_object_ids_in_entra" {
  command = apply

  variables {
    users = { train = "00000000-0000-0000-0000-000000000003", serve = "00000000-0000-0000-0000-000000000004" }
  }

  assert {
    condition     = { for name, one in azurerm_managed_redis_access_policy_assignment.user : name => one.object_id } == { for name, id in var.users : name => id }
    error_message = "others may use it"
  }

  assert {
    condition     = startswith(output.redis_url, "rediss://") && strcontains(output.redis_url, azurerm_managed_redis.this[0].hostname)
    error_message = "its address is ${output.redis_url}"
  }
}

run "without_redis_nothing_is_served_online" {
  command = plan

  variables {
    redis = null
  }

  assert {
    condition     = length(azurerm_managed_redis.this) == 0 && output.redis_url == null
    error_message = "there is one"
  }
}

run "users_of_no_redis_are_refused" {
  command = plan

  variables {
    redis = null
    users = { serve = "00000000-0000-0000-0000-000000000004" }
  }

  expect_failures = [var.users]
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    keep_deleted_days = 0
    prefix            = "acme_dev"
    redis             = { sku = "Standard_C0" }
    replication       = "RAGRS"
    spark             = { executors = 0 }
  }

  expect_failures = [var.keep_deleted_days, var.prefix, var.redis, var.replication, var.spark]
}

run "a_redis_that_loses_what_is_served_and_an_unknown_machine_are_refused" {
  command = plan

  variables {
    redis = { eviction = "AllKeysLRU" }
    spark = { instance = "standard_d8s_v3" }
  }

  expect_failures = [var.redis, var.spark]
}

run "a_version_of_spark_is_a_number" {
  command = plan

  variables {
    spark = { runtime = "latest" }
  }

  expect_failures = [var.spark]
}

run "places_and_tags_that_azure_would_refuse_are_refused" {
  command = plan

  variables {
    location       = "West Europe"
    resource_group = "rg."
    tags           = { "a/b" = "c" }
  }

  expect_failures = [var.location, var.resource_group, var.tags]
}
