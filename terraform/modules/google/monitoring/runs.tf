# Vertex AI has no metric of runs that failed; it writes a line to the log.
resource "google_logging_metric" "failed_runs" {
  project     = var.project
  name        = "${var.name}/failed_runs"
  description = "Runs of pipelines that failed."
  filter      = "resource.type=\"aiplatform.googleapis.com/PipelineJob\" AND jsonPayload.state=\"PIPELINE_STATE_FAILED\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

resource "google_monitoring_alert_policy" "failed_runs" {
  project               = var.project
  display_name          = "${var.name}: a run failed"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "a run failed"

    condition_threshold {
      filter          = "resource.type=\"aiplatform.googleapis.com/PipelineJob\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.failed_runs.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_DELTA"
      }
    }
  }

  documentation {
    content   = "`cloudmlops` tells more: platform.pipelines.list(), and platform.pipelines.get(ID).logs()."
    mime_type = "text/markdown"
  }
}
