resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.location
  repository_id = var.name
  description   = "Images of steps and of the scoring server."
  format        = "DOCKER"
  labels        = var.labels
  kms_key_name  = var.encryption_key

  docker_config {
    immutable_tags = false # `latest` moves on; deployments name a digest
  }

  cleanup_policy_dry_run = false

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "${var.retention_days * 24 * 60 * 60}s"
    }
  }

  cleanup_policies {
    id     = "newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }
}
