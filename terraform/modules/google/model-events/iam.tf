locals {
  roles  = replace(var.name, "-", "_")
  pubsub = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_project_iam_custom_role" "publisher" {
  project     = var.project
  role_id     = "${local.roles}_event_publisher"
  title       = "Publishes events"
  stage       = "GA"
  permissions = ["pubsub.topics.publish"]
}

resource "google_project_iam_custom_role" "consumer" {
  project     = var.project
  role_id     = "${local.roles}_event_consumer"
  title       = "Pulls events"
  stage       = "GA"
  permissions = ["pubsub.subscriptions.consume"]
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.publishers

  project = var.project
  topic   = google_pubsub_topic.events.name
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.publisher.role_id}"
  member  = each.value
}

resource "google_pubsub_topic_iam_member" "sink" {
  project = var.project
  topic   = google_pubsub_topic.events.name
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.publisher.role_id}"
  member  = google_logging_project_sink.events.writer_identity
}

resource "google_pubsub_subscription_iam_member" "consumer" {
  for_each = var.consumers

  project      = var.project
  subscription = google_pubsub_subscription.worker.name
  role         = "projects/${var.project}/roles/${google_project_iam_custom_role.consumer.role_id}"
  member       = each.value
}

# Pub/Sub itself moves what was not acknowledged: it takes from the subscription, and publishes to the dead letters.
resource "google_pubsub_topic_iam_member" "dead_letter" {
  project = var.project
  topic   = google_pubsub_topic.dead_letter.name
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.publisher.role_id}"
  member  = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead_letter" {
  project      = var.project
  subscription = google_pubsub_subscription.worker.name
  role         = "projects/${var.project}/roles/${google_project_iam_custom_role.consumer.role_id}"
  member       = local.pubsub
}

resource "google_project_iam_member" "receiver" {
  for_each = local.receivers

  project = var.project
  role    = "roles/eventarc.eventReceiver"
  member  = "serviceAccount:${each.value.account}"
}

resource "google_cloud_run_v2_service_iam_member" "receiver" {
  for_each = local.receivers

  project  = var.project
  location = var.location
  name     = google_cloud_run_v2_service.receiver["this"].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${each.value.account}"
}
