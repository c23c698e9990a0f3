output "dead_letters" {
  description = "Name of the subscription of what was delivered ten times and never acknowledged."
  value       = google_pubsub_subscription.dead_letter.name

  depends_on = [google_pubsub_subscription_iam_member.dead_letter, google_pubsub_topic_iam_member.dead_letter]
}

output "receiver" {
  description = "Name of the service that is pushed to; null without one."
  value       = one([for service in google_cloud_run_v2_service.receiver : service.name])

  depends_on = [google_eventarc_trigger.receiver]
}

output "subscription" {
  description = "Name of the subscription that a worker pulls from, known when its rights are given."
  value       = google_pubsub_subscription.worker.name

  depends_on = [google_pubsub_subscription_iam_member.consumer]
}

output "topic" {
  description = "Name of the topic that events are published to, known when its rights are given."
  value       = google_pubsub_topic.events.name

  depends_on = [google_pubsub_topic_iam_member.publisher, google_pubsub_topic_iam_member.sink]
}
