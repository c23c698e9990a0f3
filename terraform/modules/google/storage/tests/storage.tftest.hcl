mock_provider "google" {}

variables {
  bucket   = "my-bucket"
  location = "europe-west4"
  project  = "my-project"
  pushers  = { deploy = "serviceAccount:deploy@my-project.iam.gserviceaccount.com" }
  readers  = { serve = "serviceAccount:serve@my-project.iam.gserviceaccount.com" }
  writers  = { train = "serviceAccount:train@my-project.iam.gserviceaccount.com" }
}

run "the_bucket_is_closed_versioned_and_kept" {
  command = plan

  assert {
    condition     = google_storage_bucket.this.public_access_prevention == "enforced" && google_storage_bucket.this.uniform_bucket_level_access
    error_message = "The bucket could be public."
  }

  assert {
    condition     = google_storage_bucket.this.versioning[0].enabled && google_storage_bucket.this.soft_delete_policy[0].retention_duration_seconds == 2592000
    error_message = "What is overwritten or removed is not kept for 30 days."
  }

  assert {
    condition     = google_storage_bucket.this.force_destroy == false && google_storage_bucket.this.deletion_policy == "PREVENT"
    error_message = "The bucket could be removed."
  }

  assert {
    condition     = length(google_storage_bucket.this.retention_policy) == 0
    error_message = "A retention policy keeps the ledger's hints from being overwritten."
  }
}

run "readers_read_and_writers_create_but_remove_outside_of_the_ledger_only" {
  command = plan

  assert {
    condition     = { for name, one in google_storage_bucket_iam_member.reader : name => one.member } == { serve = var.readers.serve, train = var.writers.train }
    error_message = "Not all who may read are listed as readers, or too many are."
  }

  assert {
    condition     = keys(google_storage_bucket_iam_member.creator) == ["train"] && keys(google_storage_bucket_iam_member.remover) == ["train"]
    error_message = "Somebody else than the writers writes."
  }

  assert {
    condition     = google_storage_bucket_iam_member.remover["train"].role == "projects/my-project/roles/cloudmlops_object_remover"
    error_message = "The role of removing has another name."
  }

  assert {
    condition     = strcontains(google_storage_bucket_iam_member.remover["train"].condition[0].expression, "!resource.name.startsWith(\"projects/_/buckets/my-bucket/objects/cloudmlops/ledger/\")")
    error_message = "Entries of the ledger could be removed."
  }
}

run "without_anybody_who_pushes_images_there_is_no_role_for_it" {
  command = plan

  variables {
    pushers = {}
  }

  assert {
    condition     = sort(keys(google_project_iam_custom_role.this)) == tolist(["object_creator", "object_reader", "object_remover"])
    error_message = "There is a role that nobody has."
  }
}

run "who_pushes_images_writes_no_objects" {
  command = plan

  assert {
    condition     = { for name, one in google_artifact_registry_repository_iam_member.pusher : name => "${one.member} ${one.role}" } == { deploy = "${var.pushers.deploy} projects/my-project/roles/cloudmlops_image_pusher" }
    error_message = "Somebody else pushes images, or with another role."
  }

  assert {
    condition     = google_artifact_registry_repository.images.format == "DOCKER"
    error_message = "Images cannot be pushed there."
  }
}

run "a_platform_may_be_the_whole_bucket" {
  command = plan

  variables {
    prefix = ""
  }

  assert {
    condition     = startswith(google_storage_bucket_iam_member.remover["train"].condition[0].expression, "!resource.name.startsWith(\"projects/_/buckets/my-bucket/objects/ledger/\")")
    error_message = "The ledger is looked for elsewhere."
  }
}

run "what_other_modules_need_is_put_out" {
  command = apply

  assert {
    condition     = output.bucket == "my-bucket" && output.prefix == "cloudmlops" && output.repository == "cloudmlops"
    error_message = "Names are not those that were given."
  }

  assert {
    condition     = output.images == "europe-west4-docker.pkg.dev/my-project/cloudmlops"
    error_message = "Images are pushed elsewhere."
  }
}

run "a_key_of_ones_own_encrypts" {
  command = plan

  variables {
    encryption_key = "projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }

  assert {
    condition     = google_storage_bucket.this.encryption[0].default_kms_key_name == var.encryption_key && google_artifact_registry_repository.images.kms_key_name == var.encryption_key
    error_message = "Something is encrypted with another key."
  }
}

run "a_bucket_has_a_name_that_google_takes" {
  command = plan

  variables {
    bucket = "Google-Bucket"
  }

  expect_failures = [var.bucket]
}

run "a_location_is_a_region" {
  command = plan

  variables {
    location = "EU"
  }

  expect_failures = [var.location]
}

run "a_key_is_named_in_full" {
  command = plan

  variables {
    encryption_key = "key"
  }

  expect_failures = [var.encryption_key]
}

run "a_name_is_short_and_plain" {
  command = plan

  variables {
    name = "My Names"
  }

  expect_failures = [var.name]
}

run "a_prefix_has_no_slashes_at_its_ends" {
  command = plan

  variables {
    prefix = "/cloudmlops/"
  }

  expect_failures = [var.prefix]
}

run "what_is_removed_is_kept_for_a_week_at_least" {
  command = plan

  variables {
    retention_days = 1
  }

  expect_failures = [var.retention_days]
}

run "what_google_would_refuse_and_whoever_is_the_public_are_refused" {
  command = plan

  variables {
    labels  = { Team = "ML" }
    project = "My Project"
    pushers = { all = "allUsers" }
    readers = { all = "allUsers" }
    writers = { all = "allUsers" }
  }

  expect_failures = [var.labels, var.project, var.pushers, var.readers, var.writers]
}
