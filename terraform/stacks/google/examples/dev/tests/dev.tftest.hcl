mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "12345"
    }
  }
}

variables {
  bucket   = "my-bucket"
  location = "europe-west4"
  project  = "my-project"
}

run "it_is_made_of_nothing_that_is_paid_for_by_the_hour" {
  command = apply

  assert {
    condition     = output.prefix == "dev" && output.bucket == "my-bucket" && output.topic == "dev-events"
    error_message = "Other settings are put out."
  }
}
