locals {
  receivers = var.receiver == null ? {} : { this = var.receiver }
}

resource "google_cloud_run_v2_service" "receiver" {
  for_each = local.receivers

  project  = var.project
  location = var.location
  name     = "${var.name}-events"
  labels   = var.labels

  # Triggers push from within Google; nobody else reaches it, and whoever does shows who he is.
  ingress              = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  invoker_iam_disabled = false
  deletion_protection  = false

  template {
    service_account                  = each.value.account
    max_instance_request_concurrency = 8
    timeout                          = "600s"

    scaling {
      min_instance_count = 0
      max_instance_count = each.value.instances
    }

    containers {
      image = each.value.image

      env {
        name  = "CLOUDMLOPS_TARGET"
        value = each.value.target
      }

      resources {
        cpu_idle = false # handlers go on after a push was answered, until the instance ends
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
      }
    }
  }
}

resource "google_eventarc_trigger" "receiver" {
  for_each = var.receiver == null ? {} : local.acts

  project         = var.project
  location        = var.location
  name            = "${var.name}-${each.key}"
  labels          = var.labels
  service_account = var.receiver.account

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.audit.log.v1.written"
  }

  matching_criteria {
    attribute = "serviceName"
    value     = "aiplatform.googleapis.com"
  }

  matching_criteria {
    attribute = "methodName"
    value     = "google.cloud.aiplatform.v1.${each.value}"
  }

  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.receiver["this"].name
      region  = var.location
      path    = "/"
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.receiver, google_project_iam_member.receiver]
}
