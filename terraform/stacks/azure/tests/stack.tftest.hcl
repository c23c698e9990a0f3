mock_provider "azapi" {}
mock_provider "azuread" {}
mock_provider "azurerm" {}
mock_provider "time" {}

variables {
  budget       = { amount = 100, start_month = "2026-12" }
  location     = "westeurope"
  prefix       = "acme"
  subscription = "00000000-0000-0000-0000-000000000001"
  tenant       = "00000000-0000-0000-0000-000000000002"
}

run "without_compute_features_and_events_the_library_is_told_of_none" {
  command = apply

  variables {
    compute  = null
    events   = null
    features = null
  }

  assert {
    condition = alltrue([
      for one in [
        output.compute, output.feature_store, output.redis_url, output.topic, output.event_subscription, output.spark_runtime,
        output.push_audience,
      ] : one == null
    ])
    error_message = "it is told of one"
  }

  assert {
    condition     = output.datastore == "cloudmlops" && output.endpoint_identity != ""
    error_message = "what is always there is missing"
  }
}

run "a_webhook_is_proven_to_by_tokens_of_the_stacks_tenant" {
  command = apply

  variables {
    events   = { webhook = { url = "https://events.acme.com/" } }
    features = null
  }

  override_data {
    target = module.events[0].data.azuread_client_config.current["this"]
    values = { object_id = "00000000-0000-0000-0000-000000000003" }
  }

  assert {
    condition     = output.push_tenant == var.tenant && output.push_audience != null
    error_message = "the library would take pushes from anybody"
  }
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    serving_image = "elsewhere.io/UPPER case"
    subscription  = "my-subscription"
    tenant        = "contoso.com"
  }

  expect_failures = [var.serving_image, var.subscription, var.tenant]
}
