mock_provider "google" {}

variables {
  project = "my-project"
}

run "each_service_is_switched_on_and_stays_on" {
  command = plan

  assert {
    condition     = length(google_project_service.this) == 16
    error_message = "There are more or fewer services than the library asks."
  }

  assert {
    condition     = alltrue([for service in google_project_service.this : service.disable_on_destroy == false])
    error_message = "A service would be switched off for others, too."
  }
}

run "what_is_asked_for_is_switched_on_alone" {
  command = apply

  variables {
    services = ["storage.googleapis.com", "aiplatform.googleapis.com"]
  }

  assert {
    condition     = output.services == tolist(["aiplatform.googleapis.com", "storage.googleapis.com"])
    error_message = "Other services were switched on."
  }

  assert {
    condition     = output.project == "my-project"
    error_message = "The project is not handed on."
  }
}

run "a_project_is_an_id" {
  command = plan

  variables {
    project = "My Project"
  }

  expect_failures = [var.project]
}

run "a_service_is_a_full_name" {
  command = plan

  variables {
    services = ["storage"]
  }

  expect_failures = [var.services]
}
