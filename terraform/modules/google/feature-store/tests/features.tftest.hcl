mock_provider "google" {}

variables {
  location = "europe-west4"
  project  = "my-project"
}

run "dataset_and_online_store_are_made_closed_and_small" {
  command = plan

  assert {
    condition     = google_bigquery_dataset.this.dataset_id == "cloudmlops" && google_vertex_ai_feature_online_store.this.name == "cloudmlops"
    error_message = "The library looks for other names."
  }

  assert {
    condition     = google_vertex_ai_feature_online_store.this.bigtable[0].auto_scaling[0].min_node_count == 1 && google_vertex_ai_feature_online_store.this.bigtable[0].auto_scaling[0].max_node_count == 2
    error_message = "There are more nodes than need to be."
  }

  assert {
    condition     = google_vertex_ai_feature_online_store.this.deletion_policy == "PREVENT" && google_vertex_ai_feature_online_store.this.force_destroy == false && google_bigquery_dataset.this.deletion_policy == "PREVENT" && google_bigquery_dataset.this.delete_contents_on_destroy == false
    error_message = "Something could be removed."
  }

  assert {
    condition     = length(google_bigquery_table.this) == 0 && length(google_vertex_ai_feature_group.this) == 0
    error_message = "Something is made that nobody asked for."
  }
}

run "tables_groups_and_views_hang_together" {
  command = plan

  variables {
    tables = { weather = { columns = { origin = "STRING", seen_at = "TIMESTAMP", wind = "FLOAT64" }, timestamp = "seen_at", clustering = ["origin"] } }
    groups = { weather = { entity_keys = ["origin"], features = ["wind"], table = "weather" } }
    views  = { wind = { group = "weather", features = ["wind"], cron = "0 * * * *" } }
  }

  assert {
    condition     = google_bigquery_table.this["weather"].time_partitioning[0].field == "seen_at" && google_bigquery_table.this["weather"].deletion_protection
    error_message = "The table is partitioned otherwise, or could be removed."
  }

  assert {
    condition     = jsondecode(google_bigquery_table.this["weather"].schema)[0].name == "origin"
    error_message = "The table has other columns."
  }

  assert {
    condition     = google_vertex_ai_feature_group.this["weather"].big_query[0].big_query_source[0].input_uri == "bq://my-project.cloudmlops.weather"
    error_message = "The group is of another table."
  }

  assert {
    condition     = keys(google_vertex_ai_feature_group_feature.this) == ["weather.wind"]
    error_message = "There are other features."
  }

  assert {
    condition     = google_vertex_ai_feature_online_store_featureview.this["wind"].sync_config[0].cron == "0 * * * *" && google_vertex_ai_feature_online_store_featureview.this["wind"].feature_registry_source[0].feature_groups[0].feature_ids == tolist(["wind"])
    error_message = "The view is of other features, or synced at another time."
  }
}

run "names_are_put_out" {
  command = apply

  assert {
    condition     = abs(output.idle_cost_per_month - 686.2) < 0.001
    error_message = "What a node costs is not told."
  }

  assert {
    condition     = output.dataset == "cloudmlops" && output.online_store == "cloudmlops" && length(output.groups) == 0
    error_message = "Other names are put out than were made."
  }
}

run "a_key_of_ones_own_encrypts" {
  command = plan

  variables {
    encryption_key = "projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }

  assert {
    condition     = google_bigquery_dataset.this.default_encryption_configuration[0].kms_key_name == var.encryption_key && google_vertex_ai_feature_online_store.this.encryption_spec[0].kms_key_name == var.encryption_key
    error_message = "Something is encrypted with another key."
  }
}

run "a_location_is_a_region" {
  command = plan

  variables {
    location = "EU"
  }

  expect_failures = [var.location]
}

run "a_dataset_has_an_id" {
  command = plan

  variables {
    dataset = "my-features"
  }

  expect_failures = [var.dataset]
}

run "an_online_store_has_an_id" {
  command = plan

  variables {
    online_store = "My-Store"
  }

  expect_failures = [var.online_store]
}

run "an_online_store_has_a_node" {
  command = plan

  variables {
    online_store_nodes = { min = 0 }
  }

  expect_failures = [var.online_store_nodes]
}

run "nodes_are_added_at_a_load_that_bigtable_takes" {
  command = plan

  variables {
    online_store_nodes = { cpu_percent = 90 }
  }

  expect_failures = [var.online_store_nodes]
}

run "a_key_is_named_in_full" {
  command = plan

  variables {
    encryption_key = "key"
  }

  expect_failures = [var.encryption_key]
}

run "a_group_has_features" {
  command = plan

  variables {
    groups = { weather = { entity_keys = ["origin"], features = [], table = "weather" } }
  }

  expect_failures = [var.groups]
}

run "a_group_has_a_plain_name" {
  command = plan

  variables {
    groups = { Weather = { entity_keys = ["origin"], features = ["wind"], table = "weather" } }
  }

  expect_failures = [var.groups]
}

run "a_feature_has_a_plain_name" {
  command = plan

  variables {
    groups = { weather = { entity_keys = ["origin"], features = ["Wind"], table = "weather" } }
  }

  expect_failures = [var.groups]
}

run "a_table_is_partitioned_by_a_time" {
  command = plan

  variables {
    tables = { weather = { columns = { wind = "FLOAT64" }, timestamp = "wind" } }
  }

  expect_failures = [var.tables]
}

run "a_table_is_clustered_by_its_columns" {
  command = plan

  variables {
    tables = { weather = { columns = { seen_at = "TIMESTAMP" }, timestamp = "seen_at", clustering = ["origin"] } }
  }

  expect_failures = [var.tables]
}

run "a_view_is_of_known_features" {
  command = plan

  variables {
    views = { wind = { group = "weather", features = ["wind"], cron = "0 * * * *" } }
  }

  expect_failures = [var.views]
}

run "a_view_has_a_plain_name" {
  command = plan

  variables {
    groups = { weather = { entity_keys = ["origin"], features = ["wind"], table = "weather" } }
    views  = { Wind = { group = "weather", features = ["wind"], cron = "0 * * * *" } }
  }

  expect_failures = [var.views]
}

run "a_view_is_synced_at_a_time" {
  command = plan

  variables {
    groups = { weather = { entity_keys = ["origin"], features = ["wind"], table = "weather" } }
    views  = { wind = { group = "weather", features = ["wind"], cron = "hourly" } }
  }

  expect_failures = [var.views]
}

run "what_google_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    labels  = { Team = "ML" }
    project = "My Project"
  }

  expect_failures = [var.labels, var.project]
}
