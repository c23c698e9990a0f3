mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "12345"
    }
  }
}

variables {
  budget   = { amount = 500, billing_account = "012345-6789AB-CDEF01" }
  bucket   = "my-bucket"
  ci       = { host = "github", repository = "ada/churn", ref = "refs/heads/main" }
  emails   = ["ada@example.com"]
  location = "europe-west4"
  project  = "my-project"
}

run "it_is_made_whole" {
  command = apply

  assert {
    condition     = output.prefix == "prod" && output.online_store == "prod" && output.about.workload_identity_provider != null
    error_message = "Something is missing."
  }
}
