mock_provider "google" {}

variables {
  location       = "europe-west4"
  project        = "my-project"
  project_number = "12345"
  consumers      = { events = "serviceAccount:events@my-project.iam.gserviceaccount.com" }
  publishers     = { train = "serviceAccount:train@my-project.iam.gserviceaccount.com" }
}

run "the_log_is_brought_to_the_topic" {
  command = plan

  assert {
    condition     = strcontains(google_logging_project_sink.events.filter, "(ModelService.CopyModel|EndpointService.DeployModel|ModelService.UploadModel)$")
    error_message = "Other acts are told than the library understands."
  }

  assert {
    condition     = google_logging_project_sink.events.unique_writer_identity
    error_message = "Other sinks may write here, too."
  }
}

run "what_nobody_takes_is_kept_apart" {
  command = plan

  assert {
    condition     = google_pubsub_subscription.worker.dead_letter_policy[0].max_delivery_attempts == 10 && google_pubsub_subscription.worker.expiration_policy[0].ttl == ""
    error_message = "Events are lost."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.dead_letter.member == "serviceAccount:service-12345@gcp-sa-pubsub.iam.gserviceaccount.com" && google_pubsub_subscription_iam_member.dead_letter.member == google_pubsub_topic_iam_member.dead_letter.member
    error_message = "Pub/Sub cannot move what was not acknowledged."
  }

  assert {
    condition     = google_pubsub_topic.events.message_retention_duration == "604800s" && google_pubsub_subscription.dead_letter.message_retention_duration == "604800s"
    error_message = "Events are not kept for a week."
  }
}

run "who_may_publish_may_not_pull" {
  command = plan

  assert {
    condition     = { for name, one in google_pubsub_topic_iam_member.publisher : name => one.member } == { train = var.publishers.train }
    error_message = "Others publish."
  }

  assert {
    condition     = { for name, one in google_pubsub_subscription_iam_member.consumer : name => one.member } == { events = var.consumers.events }
    error_message = "Others pull."
  }
}

run "nothing_can_be_reached_unasked" {
  command = plan

  assert {
    condition     = length(google_cloud_run_v2_service.receiver) == 0 && length(google_eventarc_trigger.receiver) == 0 && length(google_project_iam_member.receiver) == 0
    error_message = "There is a service that nobody asked for."
  }
}

run "a_receiver_is_pushed_to_by_its_triggers_alone" {
  command = plan

  variables {
    receiver = {
      account = "events@my-project.iam.gserviceaccount.com"
      image   = "europe-west4-docker.pkg.dev/my-project/cloudmlops/events:1"
      target  = "vertex://my-project/europe-west4?bucket=my-bucket"
    }
  }

  assert {
    condition     = google_cloud_run_v2_service.receiver["this"].ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY" && google_cloud_run_v2_service.receiver["this"].invoker_iam_disabled == false
    error_message = "Anybody reaches the receiver."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.receiver["this"].member == "serviceAccount:events@my-project.iam.gserviceaccount.com" && google_cloud_run_v2_service_iam_member.receiver["this"].role == "roles/run.invoker"
    error_message = "Somebody else pushes."
  }

  assert {
    condition     = google_cloud_run_v2_service.receiver["this"].template[0].scaling[0].min_instance_count == 0
    error_message = "The receiver costs at rest."
  }

  assert {
    condition     = google_cloud_run_v2_service.receiver["this"].template[0].containers[0].resources[0].cpu_idle == false
    error_message = "Handlers stand still between pushes."
  }

  assert {
    condition     = keys(google_eventarc_trigger.receiver) == ["copy", "deploy", "upload"]
    error_message = "There is not one trigger a method."
  }

  assert {
    condition     = contains([for one in google_eventarc_trigger.receiver["upload"].matching_criteria : one.value], "google.cloud.aiplatform.v1.ModelService.UploadModel")
    error_message = "The trigger is of another method."
  }
}

run "a_key_of_ones_own_encrypts" {
  command = plan

  variables {
    encryption_key = "projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }

  assert {
    condition     = google_pubsub_topic.events.kms_key_name == var.encryption_key && google_pubsub_topic.dead_letter.kms_key_name == var.encryption_key
    error_message = "Something is encrypted with another key."
  }
}

run "a_key_is_named_in_full" {
  command = plan

  variables {
    encryption_key = "key"
  }

  expect_failures = [var.encryption_key]
}

run "names_are_put_out" {
  command = apply

  assert {
    condition     = output.topic == "cloudmlops-events" && output.subscription == "cloudmlops-worker" && output.dead_letters == "cloudmlops-dead-letter" && output.receiver == null
    error_message = "Other names are put out than were made."
  }
}

run "a_location_is_a_region" {
  command = plan

  variables {
    location = "EU"
  }

  expect_failures = [var.location]
}

run "a_number_is_no_id" {
  command = plan

  variables {
    project_number = "my-project"
  }

  expect_failures = [var.project_number]
}

run "a_name_is_short_and_plain" {
  command = plan

  variables {
    name = "My Names"
  }

  expect_failures = [var.name]
}

run "events_are_kept_for_a_month_at_most" {
  command = plan

  variables {
    retention_days = 60
  }

  expect_failures = [var.retention_days]
}

run "a_receiver_acts_as_a_service_account" {
  command = plan

  variables {
    receiver = { account = "ada@example.com", image = "image", target = "vertex://my-project/europe-west4?bucket=my-bucket" }
  }

  expect_failures = [var.receiver]
}

run "a_receiver_connects_to_vertex_ai" {
  command = plan

  variables {
    receiver = { account = "events@my-project.iam.gserviceaccount.com", image = "image", target = "local://here" }
  }

  expect_failures = [var.receiver]
}

run "a_receiver_has_an_instance" {
  command = plan

  variables {
    receiver = { account = "events@my-project.iam.gserviceaccount.com", image = "image", target = "vertex://p/l", instances = 0 }
  }

  expect_failures = [var.receiver]
}

run "what_google_would_refuse_and_whoever_is_the_public_are_refused" {
  command = plan

  variables {
    consumers  = { all = "allUsers" }
    labels     = { Team = "ML" }
    project    = "My Project"
    publishers = { all = "allAuthenticatedUsers" }
  }

  expect_failures = [var.consumers, var.labels, var.project, var.publishers]
}
