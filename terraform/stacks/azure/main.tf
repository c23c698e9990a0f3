locals {
  group = { id = module.workspace.resource_group_id, name = module.workspace.resource_group }
}

module "workspace" {
  source = "../../modules/azure/workspace"

  location          = var.location
  prefix            = var.prefix
  tenant            = var.tenant
  keep_deleted_days = var.keep_deleted_days
  log_gb_a_day      = var.log_gb_a_day
  registry_sku      = var.registry_sku
  replication       = var.replication
  resource_group    = var.resource_group
  tags              = var.tags
}

module "identity" {
  source = "../../modules/azure/identity"

  container_id       = module.workspace.container_id
  location           = var.location
  prefix             = var.prefix
  resource_group     = local.group
  storage_account_id = module.workspace.storage_account_id
  workspace_id       = module.workspace.workspace_id
  feature_store = var.features == null ? null : {
    workspace_id       = module.features[0].workspace_id
    storage_account_id = module.features[0].storage_account_id
  }
  federated = var.federated
  people    = var.people
  registry  = { id = module.workspace.registry.id }
  tags      = var.tags
  topic     = var.events == null ? null : { id = module.events[0].topic_id }
}

module "compute" {
  count  = var.compute == null ? 0 : 1
  source = "../../modules/azure/compute"

  identity_id  = module.identity.ids["train"]
  location     = var.location
  workspace_id = module.workspace.workspace_id
  idle_cost    = var.compute.idle_cost
  idle_seconds = var.compute.idle_seconds
  machine      = var.compute.machine
  machine_usd  = var.compute.machine_usd
  max_nodes    = var.compute.max_nodes
  min_nodes    = var.compute.min_nodes
  priority     = var.compute.priority
  tags         = var.tags
}

module "features" {
  count  = var.features == null ? 0 : 1
  source = "../../modules/azure/feature-store"

  location          = var.location
  parts             = module.workspace.parts
  prefix            = var.prefix
  resource_group    = module.workspace.resource_group
  keep_deleted_days = var.keep_deleted_days
  redis             = var.features.redis
  replication       = var.replication
  spark             = var.features.spark
  tags              = var.tags
  users = var.features.redis == null ? {} : {
    for job in ["deploy", "serve", "train"] : job => module.identity.principals[job]
  }
}

module "events" {
  count  = var.events == null ? 0 : 1
  source = "../../modules/azure/model-events"

  location           = var.location
  prefix             = var.prefix
  resource_group     = local.group
  storage_account_id = module.workspace.storage_account_id
  workspace_id       = module.workspace.workspace_id
  kinds              = var.events.kinds
  tags               = var.tags
  webhook            = var.events.webhook == null ? null : { tenant = var.tenant, url = var.events.webhook.url }
}

module "budget" {
  source = "../../modules/azure/budget"

  amount            = var.budget.amount
  prefix            = var.prefix
  resource_group_id = module.workspace.resource_group_id
  start_month       = var.budget.start_month
  emails            = var.budget.emails
}
