locals {
  id     = replace(var.name, "-", "_") # of dataset and online store, which take no hyphens
  labels = merge({ cloudmlops = var.name }, var.labels)

  target = "vertex://${var.project}/${var.location}?bucket=${var.bucket}&prefix=${var.name}&dataset=${local.id}&online_store=${local.id}&topic=${var.name}-events"
}

data "google_project" "this" {
  project_id = module.project_services.project
}

module "project_services" {
  source = "../../modules/google/project-services"

  project = var.project
}

module "identity" {
  source = "../../modules/google/identity"

  project         = module.project_services.project
  name            = var.name
  dataset         = local.id
  ci              = var.ci
  extra_roles     = var.extra_roles
  source_datasets = var.source_datasets
}

module "storage" {
  source = "../../modules/google/storage"

  project             = module.project_services.project
  location            = var.location
  bucket              = var.bucket
  prefix              = var.name
  name                = var.name
  labels              = local.labels
  encryption_key      = var.encryption_key
  deletion_protection = var.deletion_protection
  retention_days      = var.retention_days

  readers = { for job in ["serve"] : job => module.identity.members[job] }
  writers = { for job in ["deploy", "events", "train"] : job => module.identity.members[job] }
}

module "feature_store" {
  source = "../../modules/google/feature-store"
  count  = var.online_store_nodes == null ? 0 : 1

  project             = module.project_services.project
  location            = var.location
  dataset             = local.id
  online_store        = local.id
  online_store_nodes  = var.online_store_nodes
  labels              = local.labels
  encryption_key      = var.encryption_key
  deletion_protection = var.deletion_protection
}

module "model_events" {
  source = "../../modules/google/model-events"

  project        = module.project_services.project
  project_number = data.google_project.this.number
  location       = var.location
  name           = var.name
  labels         = local.labels
  encryption_key = var.encryption_key

  publishers = { for job in ["deploy", "events", "train"] : job => module.identity.members[job] }
  consumers  = { events = module.identity.members["events"] }

  receiver = var.receiver_image == null ? null : {
    account = module.identity.accounts["events"]
    image   = var.receiver_image
    target  = local.target
  }
}

module "monitoring" {
  source = "../../modules/google/monitoring"

  project      = module.project_services.project
  name         = var.name
  emails       = var.emails
  subscription = module.model_events.subscription
}

module "budget" {
  source = "../../modules/google/budget"
  count  = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  project_number  = data.google_project.this.number
  name            = var.name
  amount          = var.budget.amount
  currency        = var.budget.currency
  channels        = module.monitoring.channels
}
