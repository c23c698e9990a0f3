resource "google_bigquery_dataset" "this" {
  project       = var.project
  dataset_id    = var.dataset
  location      = var.location
  friendly_name = "Features"
  description   = "Tables of features, and what the library keeps of them (Kept_, Pushed_, Online_)."
  labels        = var.labels

  delete_contents_on_destroy = false
  deletion_policy            = var.deletion_protection ? "PREVENT" : "DELETE"
  max_time_travel_hours      = "168"

  dynamic "default_encryption_configuration" {
    for_each = var.encryption_key == null ? [] : [var.encryption_key]

    content {
      kms_key_name = default_encryption_configuration.value
    }
  }
}

resource "google_bigquery_table" "this" {
  for_each = var.tables

  project    = var.project
  dataset_id = google_bigquery_dataset.this.dataset_id
  table_id   = each.key
  labels     = var.labels
  clustering = length(each.value.clustering) == 0 ? null : each.value.clustering
  schema     = jsonencode([for name in sort(keys(each.value.columns)) : { name = name, type = each.value.columns[name], mode = "NULLABLE" }])

  deletion_protection      = var.deletion_protection
  require_partition_filter = false

  time_partitioning {
    type  = "DAY"
    field = each.value.timestamp
  }

  dynamic "encryption_configuration" {
    for_each = var.encryption_key == null ? [] : [var.encryption_key]

    content {
      kms_key_name = encryption_configuration.value
    }
  }
}

resource "google_vertex_ai_feature_group" "this" {
  for_each = var.groups

  project     = var.project
  region      = var.location
  name        = each.key
  description = "Rows of ${each.value.table}."
  labels      = var.labels

  big_query {
    entity_id_columns = each.value.entity_keys

    big_query_source {
      input_uri = "bq://${var.project}.${google_bigquery_dataset.this.dataset_id}.${try(google_bigquery_table.this[each.value.table].table_id, each.value.table)}"
    }
  }
}

resource "google_vertex_ai_feature_group_feature" "this" {
  for_each = merge([for name, group in var.groups : { for feature in group.features : "${name}.${feature}" => { group = name, feature = feature } }]...)

  project       = var.project
  region        = var.location
  feature_group = google_vertex_ai_feature_group.this[each.value.group].name
  name          = each.value.feature
  labels        = var.labels
}
