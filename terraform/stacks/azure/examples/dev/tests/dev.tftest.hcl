mock_provider "azapi" {}
mock_provider "azuread" {}
mock_provider "azurerm" {}
mock_provider "time" {}

variables {
  budget_start_month = "2026-12"
  prefix             = "acme-dev"
  repository         = "acme/flights"
  subscription       = "00000000-0000-0000-0000-000000000001"
  team               = "00000000-0000-0000-0000-000000000003"
  tenant             = "00000000-0000-0000-0000-000000000002"
}

run "nothing_is_made_that_costs_money_day_and_night" {
  command = apply

  assert {
    condition     = output.redis_url == null && output.topic == null && output.about.idle_cost_per_month == 0
    error_message = "Redis, a namespace of Event Grid or a machine is kept"
  }

  assert {
    condition     = output.provider == "azureml" && output.workspace == "mlw-acme-dev" && output.feature_store == "mlfs-acme-dev" && output.compute == "cpu"
    error_message = "the library is told of something else"
  }
}

run "a_repository_is_an_owner_and_a_name" {
  command = plan

  variables {
    repository = "flights"
  }

  expect_failures = [var.repository]
}
