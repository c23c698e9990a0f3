output "dataset" {
  description = "Id of the dataset, known when its tables are there."
  value       = google_bigquery_dataset.this.dataset_id

  depends_on = [google_bigquery_table.this]
}

output "groups" {
  description = "Names of the feature groups, known when their features are there."
  value       = sort([for group in google_vertex_ai_feature_group.this : group.name])

  depends_on = [google_vertex_ai_feature_group_feature.this]
}

output "idle_cost_per_month" {
  description = "About how many US dollars a month the online store costs though nobody asks it, by the list price of a node that `terraform/prices.toml` has."
  value       = var.online_store_nodes.min * 0.94 * 730
}

output "online_store" {
  description = "Id of the online store, known when its views are there."
  value       = google_vertex_ai_feature_online_store.this.name

  depends_on = [google_vertex_ai_feature_online_store_featureview.this]
}
