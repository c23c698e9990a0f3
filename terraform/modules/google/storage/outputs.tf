output "bucket" {
  description = "Name of the bucket, known when its rights are given."
  value       = google_storage_bucket.this.name

  depends_on = [
    google_storage_bucket_iam_member.creator,
    google_storage_bucket_iam_member.reader,
    google_storage_bucket_iam_member.remover,
  ]
}

output "images" {
  description = "Address that images are pushed to, without a name."
  value       = "${var.location}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"

  depends_on = [google_artifact_registry_repository_iam_member.pusher]
}

output "prefix" {
  description = "Folder of the platform in the bucket."
  value       = var.prefix
}

output "repository" {
  description = "Id of the repository of images."
  value       = google_artifact_registry_repository.images.repository_id
}
