mock_provider "azapi" {}
mock_provider "azuread" {}
mock_provider "azurerm" {}
mock_provider "time" {}

variables {
  approvers          = "00000000-0000-0000-0000-000000000004"
  budget_emails      = ["mlops@acme.com"]
  budget_start_month = "2026-12"
  prefix             = "acme-prod"
  repository         = "acme/flights"
  subscription       = "00000000-0000-0000-0000-000000000001"
  team               = "00000000-0000-0000-0000-000000000003"
  tenant             = "00000000-0000-0000-0000-000000000002"
}

run "features_are_served_and_events_are_pulled" {
  command = apply

  assert {
    condition     = startswith(output.redis_url, "rediss://") && output.event_subscription == "worker"
    error_message = "the library is told of something else"
  }

  assert {
    condition     = output.topic == "https://evgns-acme-prod.westeurope-1.eventgrid.azure.net/topics/mlops"
    error_message = "its topic is ${output.topic}"
  }

  assert {
    condition     = output.compute_idle_cost == 0 && output.about.idle_cost_per_month == 0
    error_message = "machines are kept though nothing runs"
  }

  assert {
    condition     = toset(keys(output.about.clients)) == toset(["train", "serve", "deploy", "events"])
    error_message = "workflows do not learn whom to log in as"
  }
}

run "a_repository_is_an_owner_and_a_name" {
  command = plan

  variables {
    repository = "acme"
  }

  expect_failures = [var.repository]
}
