mock_provider "azurerm" {}

variables {
  identity_id  = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-acme/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-acme-train"
  location     = "westeurope"
  workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-acme/providers/Microsoft.MachineLearningServices/workspaces/mlw-acme"
}

run "an_idle_cluster_has_no_machines_and_costs_nothing" {
  command = plan

  assert {
    condition     = azurerm_machine_learning_compute_cluster.this.scale_settings[0].min_node_count == 0
    error_message = "machines are kept though nothing runs"
  }

  assert {
    condition     = azurerm_machine_learning_compute_cluster.this.scale_settings[0].max_node_count == 4
    error_message = "there is another number of machines than said"
  }

  assert {
    condition     = azurerm_machine_learning_compute_cluster.this.scale_settings[0].scale_down_nodes_after_idle_duration == "PT120S"
    error_message = "idle machines are not given back after two minutes"
  }

  assert {
    condition     = output.idle_cost_per_month == 0 && output.compute_idle_cost == 0
    error_message = "it is said to cost something"
  }

  assert {
    condition     = output.compute == "cpu"
    error_message = "the setting compute is not the cluster's name"
  }
}

run "steps_act_as_the_identity_that_is_given" {
  command = plan

  assert {
    condition     = azurerm_machine_learning_compute_cluster.this.identity[0].type == "UserAssigned" && azurerm_machine_learning_compute_cluster.this.identity[0].identity_ids == toset([var.identity_id])
    error_message = "it acts as somebody else"
  }
}

run "nobody_logs_in_to_machines" {
  command = plan

  assert {
    condition     = !azurerm_machine_learning_compute_cluster.this.local_auth_enabled && !azurerm_machine_learning_compute_cluster.this.ssh_public_access_enabled
    error_message = "passwords or SSH are open"
  }
}

run "low_priority_is_an_option" {
  command = plan

  variables {
    priority = "LowPriority"
  }

  assert {
    condition     = azurerm_machine_learning_compute_cluster.this.vm_priority == "LowPriority"
    error_message = "the machines are dedicated"
  }
}

run "kept_machines_are_refused_without_agreement" {
  command = plan

  variables {
    min_nodes = 2
  }

  expect_failures = [var.min_nodes]
}

run "kept_machines_are_refused_when_they_cost_more_than_was_agreed_to" {
  command = plan

  variables {
    min_nodes = 2
    idle_cost = 427
  }

  expect_failures = [var.min_nodes]
}

run "kept_machines_that_are_agreed_to_are_told_with_their_cost" {
  command = plan

  variables {
    min_nodes = 2
    idle_cost = 428
  }

  assert {
    condition     = abs(output.idle_cost_per_month - 427.78) < 0.001
    error_message = "the cost is another one: ${output.idle_cost_per_month}"
  }

  assert {
    condition     = output.compute_idle_cost == 428 && output.unpriced_machines == null
    error_message = "the library is not told what was agreed to, or more"
  }

  expect_failures = [check.nothing_is_paid_for_while_nothing_runs]
}

run "kept_machines_of_low_priority_cost_a_fifth" {
  command = plan

  variables {
    min_nodes = 2
    idle_cost = 86
    priority  = "LowPriority"
  }

  assert {
    condition     = abs(output.idle_cost_per_month - 85.556) < 0.001
    error_message = "the cost is another one: ${output.idle_cost_per_month}"
  }

  expect_failures = [check.nothing_is_paid_for_while_nothing_runs]
}

run "no_sum_agrees_to_machines_without_a_known_price" {
  command = plan

  variables {
    idle_cost = 100000
    machine   = "Standard_HB176rs_v4"
    min_nodes = 1
  }

  expect_failures = [var.min_nodes]
}

run "a_price_of_ones_own_makes_a_cost_known" {
  command = plan

  variables {
    idle_cost   = 5256
    machine     = "Standard_HB176rs_v4"
    machine_usd = 7.2
    min_nodes   = 1
  }

  assert {
    condition     = abs(output.idle_cost_per_month - 5256) < 0.001
    error_message = "the cost is another one: ${output.idle_cost_per_month}"
  }

  assert {
    condition     = output.unpriced_machines == "Standard_HB176rs_v4"
    error_message = "the library, which knows no price of these machines, is not told that they were agreed to"
  }

  expect_failures = [check.nothing_is_paid_for_while_nothing_runs]
}

run "a_price_that_is_lower_than_the_librarys_agrees_to_nothing" {
  command = plan

  variables {
    idle_cost   = 200
    machine_usd = 0.1
    min_nodes   = 1
  }

  expect_failures = [var.min_nodes]
}

run "a_price_that_is_higher_than_the_librarys_counts" {
  command = plan

  variables {
    idle_cost   = 365
    machine_usd = 0.5
    min_nodes   = 1
  }

  assert {
    condition     = abs(output.idle_cost_per_month - 365) < 0.001
    error_message = "the cost is another one: ${output.idle_cost_per_month}"
  }

  expect_failures = [check.nothing_is_paid_for_while_nothing_runs]
}

run "machines_that_are_not_kept_are_not_agreed_to" {
  command = plan

  variables {
    machine = "Standard_HB176rs_v4"
  }

  assert {
    condition     = output.unpriced_machines == null && output.idle_cost_per_month == 0
    error_message = "whoever lets them be kept later is not asked"
  }
}

run "a_cluster_has_no_more_machines_at_least_than_at_most" {
  command = plan

  variables {
    min_nodes = 5
    idle_cost = 5000
  }

  expect_failures = [var.min_nodes]
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    idle_cost    = -1
    idle_seconds = 86400
    machine      = "4 cores"
    machine_usd  = 0
    max_nodes    = 0.5
    name         = "cpu-"
    priority     = "Spot"
  }

  expect_failures = [var.idle_cost, var.idle_seconds, var.machine, var.machine_usd, var.max_nodes, var.name, var.priority]
}

run "places_and_tags_that_azure_would_refuse_are_refused" {
  command = plan

  variables {
    location = "West Europe"
    tags     = { "a/b" = "c" }
  }

  expect_failures = [var.location, var.tags]
}
