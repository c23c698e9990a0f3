locals {
  watched = var.subscription == null ? {} : { this = "resource.type=\"pubsub_subscription\" AND resource.label.subscription_id=\"${var.subscription}\"" }
}

resource "google_monitoring_alert_policy" "waiting" {
  for_each = local.watched

  project               = var.project
  display_name          = "${var.name}: events wait"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "an event waits for more than ${var.waiting_minutes} minutes"

    condition_threshold {
      filter          = "${each.value} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.waiting_minutes * 60
      duration        = "300s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "No worker pulls: is `cloudmlops events process --follow` running?"
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  for_each = local.watched

  project               = var.project
  display_name          = "${var.name}: an event was given up"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels

  conditions {
    display_name = "an event was given up"

    condition_threshold {
      filter          = "${each.value} AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_DELTA"
      }
    }
  }
}
