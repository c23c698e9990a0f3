resource "google_vertex_ai_endpoint" "this" {
  project      = var.project
  location     = var.location
  name         = var.number
  display_name = var.display_name
  labels       = var.labels

  network                    = var.network
  dedicated_endpoint_enabled = var.network == null

  dynamic "encryption_spec" {
    for_each = var.encryption_key == null ? [] : [var.encryption_key]

    content {
      kms_key_name = encryption_spec.value
    }
  }

  lifecycle {
    # Whoever deploys splits the traffic.
    ignore_changes = [traffic_split]
  }
}
