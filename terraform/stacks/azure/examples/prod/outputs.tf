# What the stack tells, told by the root: Terraform shows the outputs of no other module.

output "about" {
  description = "What the library is not told, and people and workflows are: the registry's host, the identities' client ids by job, and about how many US dollars a month kept machines cost."
  value       = module.mlops.about
}

output "compute" {
  description = "Setting `compute`."
  value       = module.mlops.compute
}

output "compute_idle_cost" {
  description = "Setting `compute_idle_cost`."
  value       = module.mlops.compute_idle_cost
}

output "datastore" {
  description = "Setting `datastore`."
  value       = module.mlops.datastore
}

output "endpoint_identity" {
  description = "Setting `endpoint_identity`."
  value       = module.mlops.endpoint_identity
}

output "event_subscription" {
  description = "Setting `event_subscription`."
  value       = module.mlops.event_subscription
}

output "feature_store" {
  description = "Setting `feature_store`."
  value       = module.mlops.feature_store
}

output "provider" {
  description = "Which of the library's providers the other outputs are settings of."
  value       = module.mlops.provider
}

output "push_audience" {
  description = "Setting `push_audience`."
  value       = module.mlops.push_audience
}

output "push_tenant" {
  description = "Setting `push_tenant`."
  value       = module.mlops.push_tenant
}

output "redis_url" {
  description = "Setting `redis_url`."
  value       = module.mlops.redis_url
}

output "resource_group" {
  description = "Setting `resource_group`."
  value       = module.mlops.resource_group
}

output "serving_image" {
  description = "Setting `serving_image`."
  value       = module.mlops.serving_image
}

output "spark_executors" {
  description = "Setting `spark_executors`."
  value       = module.mlops.spark_executors
}

output "spark_instance" {
  description = "Setting `spark_instance`."
  value       = module.mlops.spark_instance
}

output "spark_runtime" {
  description = "Setting `spark_runtime`."
  value       = module.mlops.spark_runtime
}

output "subscription" {
  description = "Setting `subscription`."
  value       = module.mlops.subscription
}

output "topic" {
  description = "Setting `topic`."
  value       = module.mlops.topic
}

output "unpriced_machines" {
  description = "Setting `unpriced_machines`: size of the machines that are kept, that was agreed to, and the library knows no price of them."
  value       = module.mlops.unpriced_machines
}

output "workspace" {
  description = "Setting `workspace`."
  value       = module.mlops.workspace
}
