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

run "outputs_are_settings" {
  command = apply

  assert {
    condition = {
      bucket          = output.bucket
      dataset         = output.dataset
      encryption_key  = output.encryption_key
      image           = output.image
      location        = output.location
      online_store    = output.online_store
      prefix          = output.prefix
      project         = output.project
      service_account = output.service_account
      serving_image   = output.serving_image
      subscription    = output.subscription
      topic           = output.topic
      } == {
      bucket          = "my-bucket"
      dataset         = "cloudmlops"
      encryption_key  = ""
      image           = "europe-west4-docker.pkg.dev/my-project/cloudmlops/steps:latest"
      location        = "europe-west4"
      online_store    = "cloudmlops"
      prefix          = "cloudmlops"
      project         = "my-project"
      service_account = "cloudmlops-train@my-project.iam.gserviceaccount.com"
      serving_image   = "europe-west4-docker.pkg.dev/my-project/cloudmlops/serving:latest"
      subscription    = "cloudmlops-worker"
      topic           = "cloudmlops-events"
    }
    error_message = "Settings are put out that are not those of what was made."
  }

  assert {
    condition     = output.provider == "vertex" && output.about.receiver == null && output.about.workload_identity_provider == null
    error_message = "Something is put out that nobody asked for."
  }
}

run "an_online_store_is_made_when_it_is_asked_for_and_its_cost_is_told" {
  command = plan

  variables {
    online_store_nodes = { min = 2 }
  }

  assert {
    condition     = length(module.feature_store) == 1 && abs(output.about.idle_cost_per_month - 1372.4) < 0.001
    error_message = "There is none, or it is not told what it costs."
  }
}

run "nothing_that_costs_at_rest_is_made_unasked" {
  command = plan

  assert {
    condition     = length(module.feature_store) == 0 && output.about.idle_cost_per_month == 0
    error_message = "There is an online store."
  }

  assert {
    condition     = output.online_store == "cloudmlops"
    error_message = "The setting is another one without the store."
  }
}

run "two_environments_in_a_project_share_no_names" {
  command = apply

  variables {
    name = "churn-dev"
  }

  assert {
    condition     = [output.dataset, output.online_store, output.prefix, output.subscription, output.topic, output.service_account] == ["churn_dev", "churn_dev", "churn-dev", "churn-dev-worker", "churn-dev-events", "churn-dev-train@my-project.iam.gserviceaccount.com"]
    error_message = "A name is that of another environment."
  }
}

run "a_receiver_acts_as_the_job_events" {
  command = plan

  variables {
    receiver_image = "europe-west4-docker.pkg.dev/my-project/cloudmlops/events:1"
  }

  assert {
    condition     = output.about.receiver == "cloudmlops-events"
    error_message = "There is no receiver."
  }
}

run "costs_are_told" {
  command = plan

  variables {
    budget = { amount = 200, billing_account = "012345-6789AB-CDEF01" }
  }

  assert {
    condition     = length(module.budget) == 1
    error_message = "Nobody is told of costs."
  }
}
