locals {
  # What others do to models and endpoints: Vertex AI tells of it in the log of administrators' acts, which is always on.
  acts = {
    copy   = "ModelService.CopyModel"
    deploy = "EndpointService.DeployModel"
    upload = "ModelService.UploadModel"
  }
}

resource "google_logging_project_sink" "events" {
  project     = var.project
  name        = "${var.name}-events"
  description = "Registrations and deployments by any client."
  destination = "pubsub.googleapis.com/${google_pubsub_topic.events.id}"
  filter      = <<-EOT
    protoPayload.serviceName="aiplatform.googleapis.com"
    protoPayload.methodName=~"(${join("|", values(local.acts))})$"
    resource.labels.location="${var.location}"
  EOT

  unique_writer_identity = true
}
