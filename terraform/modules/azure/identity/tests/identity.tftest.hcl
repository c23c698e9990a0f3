mock_provider "azurerm" {}

variables {
  container_id       = "/subscriptions/s/resourceGroups/rg-acme/providers/Microsoft.Storage/storageAccounts/stacme/blobServices/default/containers/cloudmlops"
  location           = "westeurope"
  prefix             = "acme"
  resource_group     = { id = "/subscriptions/s/resourceGroups/rg-acme", name = "rg-acme" }
  storage_account_id = "/subscriptions/s/resourceGroups/rg-acme/providers/Microsoft.Storage/storageAccounts/stacme"
  workspace_id       = "/subscriptions/s/resourceGroups/rg-acme/providers/Microsoft.MachineLearningServices/workspaces/mlw-acme"
}

run "there_is_one_identity_a_job" {
  command = plan

  assert {
    condition = {
      for job, one in azurerm_user_assigned_identity.job : job => one.name } == {
      train = "id-acme-train", serve = "id-acme-serve", deploy = "id-acme-deploy", events = "id-acme-events"
    }
    error_message = "there are others"
  }

  assert {
    condition     = length(azurerm_federated_identity_credential.this) == 0 && length(azurerm_role_assignment.people) == 0
    error_message = "somebody is let in whom nobody named"
  }
}

run "a_job_has_roles_of_its_own_on_the_workspace_and_no_others" {
  command = plan

  assert {
    condition     = toset(keys(azurerm_role_assignment.own)) == toset(["train/workspace", "serve/workspace", "deploy/workspace", "events/workspace", "deploy/group", "events/group"])
    error_message = "there are others: ${join(", ", keys(azurerm_role_assignment.own))}"
  }

  assert {
    condition     = alltrue([for key, one in azurerm_role_assignment.own : one.scope == (endswith(key, "/group") ? var.resource_group.id : var.workspace_id)])
    error_message = "a role is given on something else"
  }

  assert {
    condition     = alltrue([for one in azurerm_role_definition.own : one.scope == var.resource_group.id && one.assignable_scopes == tolist([var.resource_group.id])])
    error_message = "a role is for more than the resource group"
  }

  assert {
    condition     = !strcontains(jsonencode([for one in azurerm_role_definition.own : one.permissions]), "*")
    error_message = "a role has a star"
  }

  assert {
    condition     = tolist(azurerm_role_definition.own["serve/workspace"].permissions[0].actions) == tolist(["Microsoft.MachineLearningServices/workspaces/datastores/read"])
    error_message = "who serves may do more than find the datastore"
  }
}

run "data_is_let_at_by_azures_smallest_roles" {
  command = plan

  assert {
    condition = { for key, one in azurerm_role_assignment.given : key => one.role_definition_name } == {
      "train/container"  = "Storage Blob Data Contributor"
      "serve/container"  = "Storage Blob Data Reader"
      "deploy/container" = "Storage Blob Data Contributor"
      "events/container" = "Storage Blob Data Contributor"
    }
    error_message = "there are others"
  }

  assert {
    condition     = alltrue([for one in azurerm_role_assignment.given : one.scope == var.container_id && one.principal_type == "ServicePrincipal"])
    error_message = "a role is given on more than the container"
  }
}

run "topic_registry_and_feature_store_add_roles_on_themselves" {
  command = plan

  variables {
    feature_store = { workspace_id = "store", storage_account_id = "files" }
    registry      = { id = "registry" }
    topic         = { id = "topic" }
  }

  assert {
    condition = {
      for key, one in azurerm_role_assignment.given : key => "${one.scope}: ${one.role_definition_name}"
      if !endswith(key, "/container")
      } == {
      "train/images"                         = "registry: AcrPull"
      "serve/images"                         = "registry: AcrPull"
      "events/images"                        = "registry: AcrPull"
      "train/topic/EventGrid Data Sender"    = "topic: EventGrid Data Sender"
      "deploy/topic/EventGrid Data Sender"   = "topic: EventGrid Data Sender"
      "events/topic/EventGrid Data Sender"   = "topic: EventGrid Data Sender"
      "events/topic/EventGrid Data Receiver" = "topic: EventGrid Data Receiver"
      "deploy/features/files"                = "files: Storage Blob Data Contributor"
      "train/features/files"                 = "files: Storage Blob Data Contributor"
      "train/features/files"                 = "files: Storage Blob Data Contributor"
    }
    error_message = "there are others"
  }

  assert {
    condition     = alltrue([for job in ["deploy", "train"] : azurerm_role_assignment.own["${job}/features"].scope == "store"]) && length(azurerm_role_assignment.own) == 8
    error_message = "who applies features has no role on the feature store, or somebody else has"
  }
}

run "people_have_the_parts_of_their_role" {
  command = plan

  variables {
    people = {
      ada  = { object_id = "00000000-0000-0000-0000-000000000003", role = "approver", type = "User" }
      team = { object_id = "00000000-0000-0000-0000-000000000004", role = "reader" }
    }
  }

  assert {
    condition = { for key, one in azurerm_role_assignment.people : key => one.principal_type } == {
      "ada/workspace/Reader"                      = "User"
      "ada/account/Reader"                        = "User"
      "ada/account/Storage Blob Data Contributor" = "User"
      "team/workspace/Reader"                     = "Group"
      "team/account/Reader"                       = "Group"
      "team/account/Storage Blob Data Reader"     = "Group"
    }
    error_message = "they have others: ${join(", ", keys(azurerm_role_assignment.people))}"
  }
}

run "continuous_integration_becomes_the_identity_of_its_job_without_a_secret" {
  command = apply

  variables {
    federated = {
      github = { issuer = "https://token.actions.githubusercontent.com", subject = "repo:acme/flights:environment:prod" }
      worker = { issuer = "https://westeurope.oic.prod-aks.azure.com/t/c/", subject = "system:serviceaccount:mlops:worker", job = "events" }
    }
  }

  assert {
    condition = (
      azurerm_federated_identity_credential.this["github"].user_assigned_identity_id == output.ids["deploy"] &&
      azurerm_federated_identity_credential.this["worker"].user_assigned_identity_id == output.ids["events"]
    )
    error_message = "it becomes another one"
  }

  assert {
    condition     = alltrue([for one in azurerm_federated_identity_credential.this : one.audience == tolist(["api://AzureADTokenExchange"])])
    error_message = "tokens for others are taken"
  }

  assert {
    condition     = azurerm_role_assignment.assigns_serve.scope == output.ids["serve"] && azurerm_role_assignment.assigns_serve.principal_id == output.principals["deploy"]
    error_message = "who deploys may assign another identity"
  }
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    federated = { x = { issuer = "https://token.actions.githubusercontent.com", subject = "repo:acme/flights:ref:refs/heads/main" } }
    people    = { ada = { object_id = "ada@acme.com", role = "reader" } }
    prefix    = "1-acme"
  }

  expect_failures = [var.federated, var.people, var.prefix]
}

run "a_subject_with_a_star_and_an_unknown_role_are_refused" {
  command = plan

  variables {
    federated = { github = { issuer = "https://token.actions.githubusercontent.com", subject = "repo:acme/*" } }
    people    = { ada = { object_id = "00000000-0000-0000-0000-000000000003", role = "owner" } }
  }

  expect_failures = [var.federated, var.people]
}

run "an_issuer_without_tls_and_an_unknown_kind_of_principal_are_refused" {
  command = plan

  variables {
    federated = { github = { issuer = "http://tokens.acme.com", subject = "repo:acme/flights" } }
    people    = { ada = { object_id = "00000000-0000-0000-0000-000000000003", role = "reader", type = "Robot" } }
  }

  expect_failures = [var.federated, var.people]
}

run "an_unknown_job_is_refused" {
  command = plan

  variables {
    federated = { github = { issuer = "https://token.actions.githubusercontent.com", subject = "repo:acme/flights", job = "owner" } }
  }

  expect_failures = [var.federated]
}

run "places_and_tags_that_azure_would_refuse_are_refused" {
  command = plan

  variables {
    location       = "West Europe"
    resource_group = { id = "made-up", name = "rg." }
    tags           = { "a/b" = "c" }
  }

  expect_failures = [var.location, var.resource_group, var.tags]
}
