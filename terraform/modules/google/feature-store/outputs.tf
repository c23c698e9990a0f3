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

output "online_store" {
  description = "Id of the online store, known when its views are there."
  value       = google_vertex_ai_feature_online_store.this.name

  depends_on = [google_vertex_ai_feature_online_store_featureview.this]
}
