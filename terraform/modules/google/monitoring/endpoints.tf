locals {
  endpoint = "resource.type=\"aiplatform.googleapis.com/Endpoint\""
  metrics  = "metric.type=\"aiplatform.googleapis.com/prediction/online"
}

resource "google_monitoring_alert_policy" "errors" {
  project               = var.project
  display_name          = "${var.name}: predictions fail"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels

  conditions {
    display_name = "more than ${var.errors_percent} per cent fail"

    condition_threshold {
      filter             = "${local.endpoint} AND ${local.metrics}/error_count\""
      denominator_filter = "${local.endpoint} AND ${local.metrics}/response_count\""
      comparison         = "COMPARISON_GT"
      threshold_value    = var.errors_percent / 100
      duration           = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.endpoint_id"]
      }

      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.endpoint_id"]
      }
    }
  }

  documentation {
    content   = "platform.endpoints.logs(NAME) tells why; platform.endpoints.rollback(NAME) brings the last split back."
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "latency" {
  project               = var.project
  display_name          = "${var.name}: predictions are slow"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "5 of 100 take more than ${var.latency_ms} ms"

    condition_threshold {
      filter          = "${local.endpoint} AND ${local.metrics}/prediction_latencies\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.latency_ms
      duration        = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_PERCENTILE_95"
        cross_series_reducer = "REDUCE_MAX"
        group_by_fields      = ["resource.label.endpoint_id"]
      }
    }
  }
}
