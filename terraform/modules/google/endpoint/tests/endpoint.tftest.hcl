mock_provider "google" {}

variables {
  display_name = "churn"
  location     = "europe-west4"
  number       = "1234567890"
  project      = "my-project"
}

run "an_endpoint_has_an_address_of_its_own" {
  command = plan

  assert {
    condition     = google_vertex_ai_endpoint.this.dedicated_endpoint_enabled && google_vertex_ai_endpoint.this.network == null
    error_message = "It is reached otherwise."
  }
}

run "an_endpoint_may_be_reached_within_a_network_alone" {
  command = plan

  variables {
    network = "projects/12345/global/networks/vpc"
  }

  assert {
    condition     = google_vertex_ai_endpoint.this.dedicated_endpoint_enabled == false && google_vertex_ai_endpoint.this.network == "projects/12345/global/networks/vpc"
    error_message = "It is reached from elsewhere."
  }
}

run "a_key_of_ones_own_encrypts" {
  command = plan

  variables {
    encryption_key = "projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }

  assert {
    condition     = google_vertex_ai_endpoint.this.encryption_spec[0].kms_key_name == var.encryption_key
    error_message = "Another key encrypts."
  }
}

run "its_full_name_is_put_out" {
  command = apply

  assert {
    condition     = output.endpoint == "projects/my-project/locations/europe-west4/endpoints/1234567890"
    error_message = "Another name is put out."
  }
}

run "a_display_name_is_one" {
  command = plan

  variables {
    display_name = ""
  }

  expect_failures = [var.display_name]
}

run "a_location_is_a_region" {
  command = plan

  variables {
    location = "EU"
  }

  expect_failures = [var.location]
}

run "an_id_is_a_number" {
  command = plan

  variables {
    number = "churn"
  }

  expect_failures = [var.number]
}

run "a_key_is_named_in_full" {
  command = plan

  variables {
    encryption_key = "key"
  }

  expect_failures = [var.encryption_key]
}

run "a_network_is_named_in_full" {
  command = plan

  variables {
    network = "vpc"
  }

  expect_failures = [var.network]
}

run "what_google_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    labels  = { Team = "ML" }
    project = "My Project"
  }

  expect_failures = [var.labels, var.project]
}
