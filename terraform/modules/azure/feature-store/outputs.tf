output "feature_store" {
  description = "Name of the workspace that shows the feature sets; the library's setting `feature_store`."
  value       = azurerm_machine_learning_workspace.this.name
}

output "redis_url" {
  description = "What features are served from; the library's setting `redis_url`. Null: there is none."
  value       = one([for one in azurerm_managed_redis.this : "rediss://${one.hostname}:${one.default_database[0].port}"])
  depends_on  = [azurerm_managed_redis_access_policy_assignment.user]
}

output "spark_executors" {
  description = "The library's setting `spark_executors`."
  value       = var.spark.executors
}

output "spark_instance" {
  description = "The library's setting `spark_instance`."
  value       = var.spark.instance
}

output "spark_runtime" {
  description = "The library's setting `spark_runtime`."
  value       = var.spark.runtime
}

output "storage_account_id" {
  description = "Resource id of the feature store's storage account: who applies definitions has a role on it."
  value       = azurerm_storage_account.this.id
}

output "workspace_id" {
  description = "Resource id of the workspace of kind FeatureStore."
  value       = azurerm_machine_learning_workspace.this.id
}
