# No retention policy of the bucket: it would keep everything from being overwritten, and the ledger's hints, leases of
# the inbox and snapshots have to be. What must not change, the ledger's entries, no writer has the right to overwrite.
resource "google_storage_bucket" "this" {
  name     = var.bucket
  project  = var.project
  location = var.location
  labels   = var.labels

  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  deletion_policy             = var.deletion_protection ? "PREVENT" : "DELETE"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.retention_days * 24 * 60 * 60
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = var.retention_days
      with_state                 = "ARCHIVED"
    }
  }

  # Parts of uploads that never ended.
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = 7
    }
  }

  # Large results of features pass through here, and are removed when they are read.
  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age            = 7
      matches_prefix = ["${local.folder}passing/"]
    }
  }

  dynamic "encryption" {
    for_each = var.encryption_key == null ? [] : [var.encryption_key]

    content {
      default_kms_key_name = encryption.value
    }
  }
}

locals {
  folder = var.prefix == "" ? "" : "${var.prefix}/"
}
