# Settings of the library's provider `azureml`, by their names: `cloudmlops init --from-terraform` reads them. What is null is
# no output of Terraform's, and has the library's default.

output "about" {
  description = "What the library is not told, and people and workflows are: the registry's host, the identities' client ids by job, and about how many US dollars a month kept machines cost."
  value = {
    clients             = module.identity.clients
    idle_cost_per_month = one(module.compute[*].idle_cost_per_month)
    registry            = module.workspace.registry.server
  }
}

output "compute" {
  description = "Setting `compute`."
  value       = one(module.compute[*].compute)
}

output "compute_idle_cost" {
  description = "Setting `compute_idle_cost`."
  value       = one(module.compute[*].compute_idle_cost)
}

output "datastore" {
  description = "Setting `datastore`."
  value       = module.workspace.datastore
}

output "endpoint_identity" {
  description = "Setting `endpoint_identity`."
  value       = module.identity.ids["serve"]
}

output "event_subscription" {
  description = "Setting `event_subscription`."
  value       = one(module.events[*].event_subscription)
}

output "feature_store" {
  description = "Setting `feature_store`."
  value       = one(module.features[*].feature_store)
}

output "provider" {
  description = "Which of the library's providers the other outputs are settings of."
  value       = "azureml"
}

output "push_audience" {
  description = "Setting `push_audience`."
  value       = one(module.events[*].push_audience)
}

output "push_tenant" {
  description = "Setting `push_tenant`."
  value       = one(module.events[*].push_tenant)
}

output "redis_url" {
  description = "Setting `redis_url`."
  value       = one(module.features[*].redis_url)
}

output "resource_group" {
  description = "Setting `resource_group`."
  value       = module.workspace.resource_group
}

output "serving_image" {
  description = "Setting `serving_image`."
  value       = "${module.workspace.registry.server}/${var.serving_image}"
}

output "spark_executors" {
  description = "Setting `spark_executors`."
  value       = one(module.features[*].spark_executors)
}

output "spark_instance" {
  description = "Setting `spark_instance`."
  value       = one(module.features[*].spark_instance)
}

output "spark_runtime" {
  description = "Setting `spark_runtime`."
  value       = one(module.features[*].spark_runtime)
}

output "subscription" {
  description = "Setting `subscription`."
  value       = var.subscription
}

output "topic" {
  description = "Setting `topic`."
  value       = one(module.events[*].topic)
}

output "unpriced_machines" {
  description = "Setting `unpriced_machines`: size of the machines that are kept, that was agreed to, and the library knows no price of them."
  value       = one(module.compute[*].unpriced_machines)
}

output "workspace" {
  description = "Setting `workspace`."
  value       = module.workspace.workspace
}
