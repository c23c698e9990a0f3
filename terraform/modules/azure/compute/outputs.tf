output "compute" {
  description = "Name of the cluster; the library's setting `compute`."
  value       = azurerm_machine_learning_compute_cluster.this.name
}

output "compute_idle_cost" {
  description = "What was agreed to; the library's setting `compute_idle_cost`."
  value       = var.idle_cost
}

output "id" {
  description = "Resource id of the cluster."
  value       = azurerm_machine_learning_compute_cluster.this.id
}

output "idle_cost_per_month" {
  description = "About how many US dollars a month the cluster costs while nothing runs, by the list prices of `prices.tf`; null when this module knows no price."
  value       = local.idle_cost_per_month
}

output "unpriced_machines" {
  description = "Size of the machines where they are kept, that was agreed to, and the library knows no price of them; its setting `unpriced_machines`. Null: it may hold what machines cost against `compute_idle_cost`."
  value       = var.min_nodes > 0 && local.known == null ? var.machine : null
}
