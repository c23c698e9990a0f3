# One topic for what the library publishes and for what Google's audit log tells: events that say the same are one event to
# the library, and a worker has one place to look.
resource "google_pubsub_topic" "events" {
  project                    = var.project
  name                       = "${var.name}-events"
  labels                     = var.labels
  kms_key_name               = var.encryption_key
  message_retention_duration = "${var.retention_days * 24 * 60 * 60}s"
}

resource "google_pubsub_topic" "dead_letter" {
  project                    = var.project
  name                       = "${var.name}-dead-letter"
  labels                     = var.labels
  kms_key_name               = var.encryption_key
  message_retention_duration = "${var.retention_days * 24 * 60 * 60}s"
}

resource "google_pubsub_subscription" "worker" {
  project = var.project
  name    = "${var.name}-worker"
  topic   = google_pubsub_topic.events.id
  labels  = var.labels

  ack_deadline_seconds       = 60
  message_retention_duration = "${var.retention_days * 24 * 60 * 60}s"
  retain_acked_messages      = false

  expiration_policy {
    ttl = "" # never, however long nobody pulls
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = 10
  }
}

# A topic without a subscription keeps nothing for anybody.
resource "google_pubsub_subscription" "dead_letter" {
  project = var.project
  name    = "${var.name}-dead-letter"
  topic   = google_pubsub_topic.dead_letter.id
  labels  = var.labels

  ack_deadline_seconds       = 60
  message_retention_duration = "${var.retention_days * 24 * 60 * 60}s"
  retain_acked_messages      = false

  expiration_policy {
    ttl = ""
  }
}
