output "about" {
  description = "What the library is not told, and people and workflows are: the subscription of events that were given up, where images are pushed to, the service that is pushed to, about how many US dollars a month the online store costs though nobody asks it, each job's account, and what continuous integration names when it asks for a token."
  value = {
    accounts                   = module.identity.accounts
    dead_letters               = module.model_events.dead_letters
    idle_cost_per_month        = var.online_store_nodes == null ? 0 : module.feature_store[0].idle_cost_per_month
    images                     = module.storage.images
    receiver                   = module.model_events.receiver
    workload_identity_provider = module.identity.workload_identity_provider
  }
}

output "bucket" {
  description = "Setting `bucket`."
  value       = module.storage.bucket
}

output "dataset" {
  description = "Setting `dataset`."
  value       = local.id

  depends_on = [module.feature_store]
}

output "encryption_key" {
  description = "Setting `encryption_key`."
  value       = var.encryption_key == null ? "" : var.encryption_key
}

output "image" {
  description = "Setting `image`: where the image of steps is to be pushed to."
  value       = "${module.storage.images}/steps:latest"
}

output "location" {
  description = "Setting `location`."
  value       = var.location
}

output "online_store" {
  description = "Setting `online_store`."
  value       = local.id

  depends_on = [module.feature_store]
}

output "prefix" {
  description = "Setting `prefix`."
  value       = module.storage.prefix
}

output "project" {
  description = "Setting `project`."
  value       = module.project_services.project
}

output "provider" {
  description = "Whose settings these are."
  value       = "vertex"
}

output "service_account" {
  description = "Setting `service_account`: that of runs. For endpoints take the account of serve."
  value       = module.identity.accounts["train"]
}

output "serving_image" {
  description = "Setting `serving_image`: where the image of the scoring server is to be pushed to."
  value       = "${module.storage.images}/serving:latest"
}

output "subscription" {
  description = "Setting `subscription`."
  value       = module.model_events.subscription
}

output "topic" {
  description = "Setting `topic`."
  value       = module.model_events.topic
}

