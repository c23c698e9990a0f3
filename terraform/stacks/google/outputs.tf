# The first of these are settings of the library, by their names there.

output "bucket" {
  description = "Setting: the bucket of ledger, inbox, artifacts and snapshots."
  value       = module.storage.bucket
}

output "dataset" {
  description = "Setting: the BigQuery dataset of features."
  value       = local.id

  depends_on = [module.feature_store]
}

output "encryption_key" {
  description = "Setting: the key that what is made is encrypted with; empty is Google's own encryption."
  value       = var.encryption_key == null ? "" : var.encryption_key
}

output "image" {
  description = "Setting: where the image of steps is to be pushed to."
  value       = "${module.storage.images}/steps:latest"
}

output "location" {
  description = "Setting: the region."
  value       = var.location
}

output "online_store" {
  description = "Setting: the feature online store."
  value       = local.id

  depends_on = [module.feature_store]
}

output "prefix" {
  description = "Setting: the folder in the bucket."
  value       = module.storage.prefix
}

output "project" {
  description = "Setting: the project."
  value       = module.project_services.project
}

output "service_account" {
  description = "Setting: the account that runs act as. For endpoints take that of serve, from service_accounts."
  value       = module.identity.accounts["train"]
}

output "serving_image" {
  description = "Setting: where the image of the scoring server is to be pushed to."
  value       = "${module.storage.images}/serving:latest"
}

output "subscription" {
  description = "Setting: what a worker pulls events from."
  value       = module.model_events.subscription
}

output "topic" {
  description = "Setting: what the library's events are published to."
  value       = module.model_events.topic
}

output "dead_letters" {
  description = "Subscription of events that were given up."
  value       = module.model_events.dead_letters
}

output "images" {
  description = "Address that images are pushed to, without a name."
  value       = module.storage.images
}

output "provider" {
  description = "Name of the library's provider that the settings are of."
  value       = "vertex"
}

output "receiver" {
  description = "Service that audit events are pushed to; null without one."
  value       = module.model_events.receiver
}

output "service_accounts" {
  description = "E-mail address of each job's account: deploy, events, serve, train."
  value       = module.identity.accounts
}

output "workload_identity_provider" {
  description = "What continuous integration names when it asks for a token; null without one."
  value       = module.identity.workload_identity_provider
}
