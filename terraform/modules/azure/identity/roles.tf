# Azure's own roles for machine learning let their holders at far more than a job needs, at the datastores' secrets for
# one: each job has roles of its own, of exactly what it needs, on the workspace, on the resource group, on the feature
# store. On data and images Azure's own roles are small: they are used there.
locals {
  _own_scopes = merge(
    { workspace = var.workspace_id, group = var.resource_group.id },
    var.feature_store == null ? {} : { features = var.feature_store.workspace_id },
  )
  _own = merge([
    for place, scope in local._own_scopes : {
      for job, may in local.jobs : "${job}/${place}" => { job = job, place = place, scope = scope, actions = may[place] }
      if length(may[place]) > 0
    }
  ]...)

  _given = merge(
    { for job, may in local.jobs : "${job}/container" => { job = job, scope = var.container_id, role = may.container } },
    var.registry == null ? {} : {
      for job, may in local.jobs : "${job}/images" => { job = job, scope = var.registry.id, role = may.images }
      if may.images != null
    },
    var.topic == null ? {} : merge([
      for job, may in local.jobs : {
        for role in may.topic : "${job}/topic/${role}" => { job = job, scope = var.topic.id, role = role }
      }
    ]...),
    # Definitions of feature sets are files in the feature store's own storage.
    var.feature_store == null ? {} : {
      for job, may in local.jobs : "${job}/features/files" => {
        job = job, scope = var.feature_store.storage_account_id, role = "Storage Blob Data Contributor"
      } if length(may.features) > 0
    },
  )
}

resource "azurerm_role_definition" "own" {
  for_each = local._own

  name              = "${var.prefix} ${each.value.job} (${each.value.place})"
  description       = "What the job ${each.value.job} of cloudmlops needs on the ${each.value.place}."
  scope             = var.resource_group.id
  assignable_scopes = [var.resource_group.id]

  permissions {
    actions          = sort(each.value.actions)
    not_actions      = []
    data_actions     = []
    not_data_actions = []
  }
}

resource "azurerm_role_assignment" "own" {
  for_each = local._own

  scope              = each.value.scope
  role_definition_id = azurerm_role_definition.own[each.key].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.job[each.value.job].principal_id
  principal_type     = "ServicePrincipal"
  description        = "cloudmlops: ${each.key}"
}

resource "azurerm_role_assignment" "given" {
  for_each = local._given

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.job[each.value.job].principal_id
  principal_type       = "ServicePrincipal"
  description          = "cloudmlops: ${each.key}"
}

# Whoever makes an endpoint that acts as an identity has to be let assign that identity.
resource "azurerm_role_definition" "assigns_serve" {
  name              = "${var.prefix} deploy (identity)"
  description       = "What the job deploy of cloudmlops needs on the identity of the job serve."
  scope             = var.resource_group.id
  assignable_scopes = [var.resource_group.id]

  permissions {
    actions = [
      "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
      "Microsoft.ManagedIdentity/userAssignedIdentities/read",
    ]
    not_actions      = []
    data_actions     = []
    not_data_actions = []
  }
}

resource "azurerm_role_assignment" "assigns_serve" {
  scope              = azurerm_user_assigned_identity.job["serve"].id
  role_definition_id = azurerm_role_definition.assigns_serve.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.job["deploy"].principal_id
  principal_type     = "ServicePrincipal"
  description        = "cloudmlops: deploy/identity"
}
