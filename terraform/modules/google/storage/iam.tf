locals {
  members = merge(var.readers, var.writers)
  roles = {
    image_pusher = {
      title = "Pushes images"
      permissions = [
        "artifactregistry.repositories.downloadArtifacts", # which layers are there already
        "artifactregistry.repositories.uploadArtifacts",
      ]
    }
    object_reader = {
      title       = "Reads objects"
      permissions = ["storage.objects.get", "storage.objects.list"]
    }
    object_creator = {
      title = "Creates objects, and overwrites none"
      permissions = [
        "storage.multipartUploads.abort",
        "storage.multipartUploads.create",
        "storage.objects.create",
      ]
    }
    object_remover = {
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
  for_each = { for name, role in local.roles : name => role if name != "image_pusher" || length(var.pushers) > 0 }

  project     = var.project
  role_id     = "${replace(var.name, "-", "_")}_${each.key}"
  title       = each.value.title
  stage       = "GA"
  permissions = each.value.permissions
}

resource "google_storage_bucket_iam_member" "reader" {
  for_each = local.members

  bucket = google_storage_bucket.this.name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.this["object_reader"].role_id}"
  member = each.value
}

resource "google_storage_bucket_iam_member" "creator" {
  for_each = var.writers

  bucket = google_storage_bucket.this.name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.this["object_creator"].role_id}"
  member = each.value
}

resource "google_storage_bucket_iam_member" "remover" {
  for_each = var.writers

  bucket = google_storage_bucket.this.name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.this["object_remover"].role_id}"
  member = each.value

  condition {
    title       = "outside of the ledger"
    description = "Entries of the ledger are never overwritten or removed."
    expression  = local.outside_of_the_ledger
  }
}

resource "google_artifact_registry_repository_iam_member" "pusher" {
  for_each = var.pushers

  project    = var.project
  location   = var.location
  repository = google_artifact_registry_repository.images.repository_id
  role       = "projects/${var.project}/roles/${google_project_iam_custom_role.this["image_pusher"].role_id}"
  member     = each.value
}
