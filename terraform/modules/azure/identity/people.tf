# The library's roles as it gives them itself, in docs/azureml.md: approvals count only of those who hold all parts.
locals {
  _sees = [
    { place = "workspace", role = "Reader" },
    { place = "account", role = "Reader" },
  ]
  _writes = concat(local._sees, [{ place = "account", role = "Storage Blob Data Contributor" }])
  _works  = concat(local._writes, [{ place = "workspace", role = "AzureML Data Scientist" }])
  _roles = {
    reader   = concat(local._sees, [{ place = "account", role = "Storage Blob Data Reader" }])
    approver = local._writes
    deployer = concat(local._works, [
      { place = "topic", role = "EventGrid Data Sender" },
      { place = "topic", role = "EventGrid Data Receiver" },
    ])
    trainer = concat(local._works, [
      { place = "workspace", role = "AzureML Compute Operator" },
      { place = "topic", role = "EventGrid Data Sender" },
      { place = "features", role = "Reader" },
      { place = "features", role = "AzureML Data Scientist" },
      { place = "feature_account", role = "Reader" },
      { place = "feature_account", role = "Storage Blob Data Contributor" },
    ])
  }
  _places = merge(
    { workspace = var.workspace_id, account = var.storage_account_id },
    var.topic == null ? {} : { topic = var.topic.id },
    var.feature_store == null ? {} : {
      features        = var.feature_store.workspace_id
      feature_account = var.feature_store.storage_account_id
    },
  )
  _of_people = merge([
    for name, one in var.people : {
      for part in local._roles[one.role] : "${name}/${part.place}/${part.role}" => {
        who = one, scope = local._places[part.place], role = part.role
      } if contains(keys(local._places), part.place)
    }
  ]...)
}

resource "azurerm_role_assignment" "people" {
  for_each = local._of_people

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = each.value.who.object_id
  principal_type       = each.value.who.type
  description          = "cloudmlops: ${each.key}"
}
