mock_provider "azapi" {}
mock_provider "azuread" {}
mock_provider "azurerm" {}
mock_provider "time" {}

variables {
  location           = "westeurope"
  prefix             = "acme"
  resource_group     = { id = "/subscriptions/s/resourceGroups/rg-acme", name = "rg-acme" }
  storage_account_id = "/subscriptions/s/resourceGroups/rg-acme/providers/Microsoft.Storage/storageAccounts/stacme"
  workspace_id       = "/subscriptions/s/resourceGroups/rg-acme/providers/Microsoft.MachineLearningServices/workspaces/mlw-acme"
}

run "our_own_events_have_a_topic_that_a_worker_pulls_from" {
  command = plan

  assert {
    condition     = output.topic == "https://evgns-acme.westeurope-1.eventgrid.azure.net/topics/mlops" && output.event_subscription == "worker"
    error_message = "the library is told of ${output.topic}"
  }

  assert {
    condition = (
      azapi_resource.worker.body.properties.deliveryConfiguration.deliveryMode == "Queue" &&
      azapi_resource.worker.body.properties.deliveryConfiguration.queue.maxDeliveryCount == 10 &&
      azapi_resource.worker.body.properties.deliveryConfiguration.queue.receiveLockDurationInSeconds == 60 &&
      azapi_resource.worker.body.properties.eventDeliverySchema == "CloudEventSchemaV1_0"
    )
    error_message = "the subscription is another one"
  }
}

run "the_workspace_tells_what_was_chosen_to_the_same_topic" {
  command = apply

  assert {
    condition = (
      azurerm_eventgrid_system_topic.workspace.source_resource_id == var.workspace_id &&
      azurerm_eventgrid_system_topic.workspace.topic_type == "Microsoft.MachineLearningServices.Workspaces"
    )
    error_message = "somebody else tells"
  }

  assert {
    condition = tolist(azapi_resource.to_topic.body.properties.filter.includedEventTypes) == tolist([
      "Microsoft.MachineLearningServices.ModelRegistered", "Microsoft.MachineLearningServices.RunCompleted",
    ])
    error_message = "it tells something else"
  }

  assert {
    condition = (
      azapi_resource.to_topic.body.properties.deliveryWithResourceIdentity.destination.properties.resourceId == output.topic_id &&
      azapi_resource.to_topic.body.properties.deliveryWithResourceIdentity.identity.type == "SystemAssigned"
    )
    error_message = "it goes elsewhere, or as nobody"
  }

  assert {
    condition = azapi_resource.to_topic.body.properties.retryPolicy == {
      maxDeliveryAttempts = 30, eventTimeToLiveInMinutes = 1440
    }
    error_message = "it is tried otherwise"
  }
}

run "what_could_not_be_delivered_is_kept_and_who_delivers_may_write_there_alone" {
  command = apply

  assert {
    condition = (
      azapi_resource.to_topic.body.properties.deadLetterWithResourceIdentity.deadLetterDestination.properties.blobContainerName == "undelivered" &&
      azapi_resource.worker.body.properties.deliveryConfiguration.queue.deadLetterDestinationWithResourceIdentity.deadLetterDestination.properties.blobContainerName == "undelivered" &&
      azurerm_storage_container.undelivered.container_access_type == "private"
    )
    error_message = "it is lost, or public"
  }

  assert {
    condition = {
      for key, one in azurerm_role_assignment.dead_letters : key => "${one.role_definition_name} on ${one.scope == azurerm_storage_container.undelivered.id}" } == {
      topic = "Storage Blob Data Contributor on true", workspace = "Storage Blob Data Contributor on true"
    }
    error_message = "others may, or more"
  }

  assert {
    condition     = azurerm_role_assignment.to_topic.role_definition_name == "EventGrid Data Sender" && azurerm_role_assignment.to_topic.scope == output.topic_id
    error_message = "who delivers may do more than send to the topic"
  }
}

run "nothing_is_pushed_unless_somebody_says_where" {
  command = plan

  assert {
    condition     = length(azurerm_eventgrid_system_topic_event_subscription.webhook) == 0 && length(azuread_application.push) == 0
    error_message = "there is a webhook"
  }

  assert {
    condition     = output.push_audience == null && output.push_tenant == null
    error_message = "the library is told of one"
  }
}

run "a_webhook_is_shown_a_token_of_entra" {
  command = apply

  variables {
    webhook = { tenant = "00000000-0000-0000-0000-000000000002", url = "https://events.acme.com/hook" }
  }

  override_data {
    target = data.azuread_client_config.current["this"]
    values = { object_id = "00000000-0000-0000-0000-000000000003" }
  }

  assert {
    condition = (
      azurerm_eventgrid_system_topic_event_subscription.webhook["this"].webhook_endpoint[0].active_directory_app_id_or_uri == output.push_audience &&
      azurerm_eventgrid_system_topic_event_subscription.webhook["this"].webhook_endpoint[0].active_directory_tenant_id == output.push_tenant &&
      output.push_audience != ""
    )
    error_message = "it is shown none"
  }

  assert {
    condition     = azuread_application.push["this"].api[0].requested_access_token_version == 2
    error_message = "the audience of a token may be another one than the library is told"
  }

  assert {
    condition     = azuread_service_principal.push["this"].app_role_assignment_required && length(azuread_app_role_assignment.push) == 2
    error_message = "any application of the tenant gets such a token"
  }

  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.webhook["this"].storage_blob_dead_letter_destination[0].storage_blob_container_name == "undelivered"
    error_message = "what could not be pushed is lost"
  }
}

run "a_webhook_without_an_address_is_prepared_for_and_not_pushed_to" {
  command = apply

  variables {
    webhook = { tenant = "00000000-0000-0000-0000-000000000002" }
  }

  override_data {
    target = data.azuread_client_config.current["this"]
    values = { object_id = "00000000-0000-0000-0000-000000000003" }
  }

  assert {
    condition     = length(azurerm_eventgrid_system_topic_event_subscription.webhook) == 0
    error_message = "it is pushed to"
  }

  assert {
    condition     = output.push_audience == azuread_application.push["this"].client_id && output.push_tenant == "00000000-0000-0000-0000-000000000002"
    error_message = "a receiver is not told what tokens it is to ask for"
  }
}

run "an_open_webhook_is_refused" {
  command = plan

  variables {
    webhook = { tenant = "", url = "https://events.acme.com/hook" }
  }

  expect_failures = [var.webhook]
}

run "a_webhook_with_a_key_in_its_address_is_refused" {
  command = plan

  variables {
    webhook = { tenant = "00000000-0000-0000-0000-000000000002", url = "https://events.acme.com/hook?key=secret" }
  }

  expect_failures = [var.webhook]
}

run "a_webhook_without_tls_is_refused" {
  command = plan

  variables {
    webhook = { tenant = "00000000-0000-0000-0000-000000000002", url = "http://events.acme.com/hook" }
  }

  expect_failures = [var.webhook]
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    attempts     = 11
    kinds        = ["ModelDeleted"]
    location     = "West Europe"
    lock_seconds = 30
    prefix       = "-acme"
  }

  expect_failures = [var.attempts, var.kinds, var.location, var.lock_seconds, var.prefix]
}

run "places_and_tags_that_azure_would_refuse_are_refused" {
  command = plan

  variables {
    resource_group = { id = "made-up", name = "rg." }
    tags           = { "a/b" = "c" }
  }

  expect_failures = [var.resource_group, var.tags]
}
