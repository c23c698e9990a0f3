mock_provider "google" {}

variables {
  project = "my-project"
}

run "runs_and_endpoints_are_watched" {
  command = plan

  assert {
    condition     = strcontains(google_logging_metric.failed_runs.filter, "PIPELINE_STATE_FAILED")
    error_message = "Runs that fail are not seen."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.failed_runs.conditions[0].condition_threshold[0].filter, "logging.googleapis.com/user/cloudmlops/failed_runs")
    error_message = "Another metric is watched."
  }

  assert {
    condition     = google_monitoring_alert_policy.errors.conditions[0].condition_threshold[0].threshold_value == 0.05 && google_monitoring_alert_policy.latency.conditions[0].condition_threshold[0].threshold_value == 1000
    error_message = "It is told at other values."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.waiting) == 0 && length(google_monitoring_notification_channel.email) == 0
    error_message = "Something is watched or told that nobody named."
  }
}

run "a_worker_is_watched" {
  command = plan

  variables {
    emails       = ["ada@example.com"]
    subscription = "cloudmlops-worker"
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.waiting["this"].conditions[0].condition_threshold[0].filter, "resource.label.subscription_id=\"cloudmlops-worker\"") && google_monitoring_alert_policy.waiting["this"].conditions[0].condition_threshold[0].threshold_value == 1800
    error_message = "Another worker is watched, or for longer."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.dead_letters) == 1
    error_message = "Events that are given up are not seen."
  }

  assert {
    condition     = google_monitoring_notification_channel.email["ada@example.com"].labels.email_address == "ada@example.com"
    error_message = "Somebody else is told."
  }
}

run "channels_are_put_out" {
  command = apply

  variables {
    emails = ["ada@example.com"]
  }

  assert {
    condition     = output.channels == [google_monitoring_notification_channel.email["ada@example.com"].name]
    error_message = "Other channels are put out."
  }
}

run "an_address_is_one" {
  command = plan

  variables {
    emails = ["ada"]
  }

  expect_failures = [var.emails]
}

run "a_share_is_up_to_all" {
  command = plan

  variables {
    errors_percent = 101
  }

  expect_failures = [var.errors_percent]
}

run "a_prediction_takes_time" {
  command = plan

  variables {
    latency_ms = 0
  }

  expect_failures = [var.latency_ms]
}

run "an_event_may_wait" {
  command = plan

  variables {
    waiting_minutes = 0
  }

  expect_failures = [var.waiting_minutes]
}

run "what_google_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    name         = "My-Name"
    project      = "My Project"
    subscription = "projects/my-project/subscriptions/worker"
  }

  expect_failures = [var.name, var.project, var.subscription]
}
