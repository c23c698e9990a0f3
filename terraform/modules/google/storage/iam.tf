locals {
  members = merge(var.readers, var.writers)
  roles = {
    reader = {
      title       = "Reads objects"
      permissions = ["storage.objects.get", "storage.objects.list"]
    }
    creator = {
      title = "Creates objects, and overwrites none"
      permissions = [
        "storage.multipartUploads.abort",
        "storage.multipartUploads.create",
        "storage.objects.create",
      ]
    }
    remover = {
      title       = "Removes and, with the right to create, overwrites objects"
      permissions = ["storage.objects.delete"]
    }
  }

  objects = "projects/_/buckets/${var.bucket}/objects/${local.folder}"
  # In the ledger only its hints may change: where it ends, what is the sum of its first entries, copies of damaged ones.
  outside_of_the_ledger = join(" || ", [
    "!resource.name.startsWith(\"${local.objects}ledger/\")",
    "resource.name.endsWith(\"/head.json\")",
    "resource.name.extract(\"${local.objects}ledger/models/{model}/checkpoints/\") != \"\"",
    "resource.name.startsWith(\"${local.objects}ledger/quarantine/\")",
  ])
}

resource "google_project_iam_custom_role" "this" {
  for_each = local.roles

  project     = var.project
  role_id     = "${replace(var.name, "-", "_")}_object_${each.key}"
  title       = each.value.title
  stage       = "GA"
  permissions = each.value.permissions
}

resource "google_storage_bucket_iam_member" "reader" {
  for_each = local.members

  bucket = google_storage_bucket.this.name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.this["reader"].role_id}"
  member = each.value
}

resource "google_storage_bucket_iam_member" "creator" {
  for_each = var.writers

  bucket = google_storage_bucket.this.name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.this["creator"].role_id}"
  member = each.value
}

resource "google_storage_bucket_iam_member" "remover" {
  for_each = var.writers

  bucket = google_storage_bucket.this.name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.this["remover"].role_id}"
  member = each.value

  condition {
    title       = "outside of the ledger"
    description = "Entries of the ledger are never overwritten or removed."
    expression  = local.outside_of_the_ledger
  }
}
