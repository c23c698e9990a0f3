resource "google_vertex_ai_feature_online_store" "this" {
  project = var.project
  region  = var.location
  name    = var.online_store
  labels  = var.labels

  force_destroy   = false
  deletion_policy = var.deletion_protection ? "PREVENT" : "DELETE"

  # The only type that stays: Google removes Optimized online serving on 2027-02-17.
  bigtable {
    auto_scaling {
      min_node_count         = var.online_store_nodes.min
      max_node_count         = var.online_store_nodes.max
      cpu_utilization_target = var.online_store_nodes.cpu_percent
    }
  }

  dynamic "encryption_spec" {
    for_each = var.encryption_key == null ? [] : [var.encryption_key]

    content {
      kms_key_name = encryption_spec.value
    }
  }
}

resource "google_vertex_ai_feature_online_store_featureview" "this" {
  for_each = var.views

  project              = var.project
  region               = var.location
  name                 = each.key
  feature_online_store = google_vertex_ai_feature_online_store.this.name
  labels               = var.labels

  feature_registry_source {
    feature_groups {
      feature_group_id = google_vertex_ai_feature_group.this[each.value.group].name
      feature_ids      = [for feature in sort(each.value.features) : google_vertex_ai_feature_group_feature.this["${each.value.group}.${feature}"].name]
    }
  }

  sync_config {
    cron = each.value.cron
  }
}
