mock_provider "google" {}

variables {
  dataset = "features"
  project = "my-project"
}

run "each_job_has_an_account_and_a_role_of_its_own" {
  command = plan

  assert {
    condition     = [for account in google_service_account.job : account.account_id] == ["cloudmlops-deploy", "cloudmlops-events", "cloudmlops-serve", "cloudmlops-train"]
    error_message = "There are other accounts than one a job."
  }

  assert {
    condition     = google_project_iam_member.job["serve"].role == "projects/my-project/roles/cloudmlops_serve"
    error_message = "A server has another role than its own."
  }

  assert {
    condition     = google_project_iam_member.job["serve"].member == "serviceAccount:cloudmlops-serve@my-project.iam.gserviceaccount.com"
    error_message = "Somebody else has the server's role."
  }

  assert {
    condition     = sort(google_project_iam_custom_role.job["serve"].permissions) == tolist(["aiplatform.featureOnlineStores.get", "aiplatform.featureViews.fetchFeatureValues", "aiplatform.featureViews.get"])
    error_message = "A server may do more than look features up."
  }

  assert {
    condition     = keys(google_project_iam_member.tables) == ["deploy", "train"] && google_project_iam_member.tables["train"].role == "projects/my-project/roles/cloudmlops_train_tables"
    error_message = "Others than those who make features may write tables."
  }

  assert {
    condition     = alltrue([for member in google_project_iam_member.tables : member.condition[0].expression == "!resource.name.startsWith(\"projects/my-project/datasets/\") || resource.name == \"projects/my-project/datasets/features\" || resource.name.startsWith(\"projects/my-project/datasets/features/\")"])
    error_message = "A job may write in other datasets."
  }

  assert {
    condition     = alltrue([for role in google_project_iam_custom_role.job : alltrue([for permission in role.permissions : !startswith(permission, "bigquery.tables.")])])
    error_message = "Tables of other datasets are reached, too."
  }
}

run "who_starts_runs_acts_as_the_account_of_steps" {
  command = plan

  assert {
    condition = { for name, one in google_service_account_iam_member.acts_as : name => one.service_account_id } == {
      "deploy as serve" = "projects/my-project/serviceAccounts/cloudmlops-serve@my-project.iam.gserviceaccount.com"
      "deploy as train" = "projects/my-project/serviceAccounts/cloudmlops-train@my-project.iam.gserviceaccount.com"
      "events as train" = "projects/my-project/serviceAccounts/cloudmlops-train@my-project.iam.gserviceaccount.com"
      "train as serve"  = "projects/my-project/serviceAccounts/cloudmlops-serve@my-project.iam.gserviceaccount.com"
    }
    error_message = "Somebody may act as another account."
  }
}

run "nobody_comes_in_from_outside_unasked" {
  command = plan

  assert {
    condition     = length(google_iam_workload_identity_pool.ci) == 0 && length(google_service_account_iam_member.ci) == 0
    error_message = "There is a pool that nobody asked for."
  }

  assert {
    condition     = length(google_project_iam_member.extra) == 0 && length(google_bigquery_dataset_iam_member.sources) == 0
    error_message = "There are rights that nobody asked for."
  }

  assert {
    condition     = output.workload_identity_provider == null
    error_message = "There is a provider that nobody asked for."
  }
}

run "github_comes_in_from_one_branch_of_one_repository" {
  command = plan

  variables {
    ci = { host = "github", repository = "ada/churn", ref = "refs/heads/main" }
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.ci["github"].attribute_condition == "assertion.repository == \"ada/churn\" && assertion.ref == \"refs/heads/main\""
    error_message = "Others of GitHub may come in."
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.ci["github"].oidc[0].issuer_uri == "https://token.actions.githubusercontent.com"
    error_message = "Somebody else vouches."
  }

  assert {
    condition     = google_service_account_iam_member.ci["github"].service_account_id == "projects/my-project/serviceAccounts/cloudmlops-deploy@my-project.iam.gserviceaccount.com"
    error_message = "It comes in as another job."
  }
}

run "gitlab_comes_in_from_one_protected_branch_of_one_project_and_from_no_tag_of_its_name" {
  command = plan

  variables {
    ci = { host = "gitlab", repository = "ada/models/churn", ref = "main" }
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.ci["gitlab"].attribute_condition == "assertion.project_path == \"ada/models/churn\" && assertion.ref == \"main\" && assertion.ref_type == \"branch\" && assertion.ref_protected == \"true\""
    error_message = "Others of GitLab may come in."
  }
}

run "azure_pipelines_come_in_by_one_service_connection" {
  command = apply

  variables {
    ci = {
      host    = "azure"
      issuer  = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001/v2.0"
      subject = "/eid1/c/pub/t/AAAAAAAAAAAAAAAAAAAAAA/a/BBBBBBBBBBBBBBBBBBBBBB/sc/00000000-0000-0000-0000-000000000002/00000000-0000-0000-0000-000000000003"
    }
  }

  override_resource {
    target = google_iam_workload_identity_pool.ci["azure"]
    values = { name = "projects/12345/locations/global/workloadIdentityPools/cloudmlops-ci" }
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.ci["azure"].attribute_condition == "assertion.sub == \"${var.ci.subject}\""
    error_message = "Other connections may come in."
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.ci["azure"].oidc[0].issuer_uri == var.ci.issuer && google_iam_workload_identity_pool_provider.ci["azure"].oidc[0].allowed_audiences == tolist(["api://AzureADTokenExchange", "fb60f99c-7a34-4190-8149-302f77469936"])
    error_message = "Somebody else vouches, or for tokens that are for something else."
  }

  assert {
    condition     = length(var.ci.subject) > 127 && google_iam_workload_identity_pool_provider.ci["azure"].attribute_mapping == tomap({ "google.subject" = "assertion.sub.extract('/sc/{connection}')", "attribute.repository" = "assertion.sub.extract('/sc/{connection}')" })
    error_message = "The subject is longer than Google takes it."
  }

  assert {
    condition     = keys(google_service_account_iam_member.ci) == ["azure"] && google_service_account_iam_member.ci["azure"].service_account_id == "projects/my-project/serviceAccounts/cloudmlops-deploy@my-project.iam.gserviceaccount.com"
    error_message = "It comes in as another job."
  }

  assert {
    condition     = google_service_account_iam_member.ci["azure"].member == "principalSet://iam.googleapis.com/projects/12345/locations/global/workloadIdentityPools/cloudmlops-ci/attribute.repository/00000000-0000-0000-0000-000000000002/00000000-0000-0000-0000-000000000003"
    error_message = "Another connection comes in than the mapping tells."
  }
}

run "older_service_connections_come_in_by_their_names" {
  command = apply

  variables {
    ci = {
      host    = "azure"
      issuer  = "https://vstoken.dev.azure.com/00000000-0000-0000-0000-000000000001"
      subject = "sc://contoso/churn/vertex-prod"
    }
  }

  override_resource {
    target = google_iam_workload_identity_pool.ci["azure"]
    values = { name = "projects/12345/locations/global/workloadIdentityPools/cloudmlops-ci" }
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.ci["azure"].attribute_condition == "assertion.sub == \"sc://contoso/churn/vertex-prod\"" && google_iam_workload_identity_pool_provider.ci["azure"].attribute_mapping["google.subject"] == "assertion.sub.extract('sc://{connection}')"
    error_message = "Other connections may come in."
  }

  assert {
    condition     = google_service_account_iam_member.ci["azure"].member == "principalSet://iam.googleapis.com/projects/12345/locations/global/workloadIdentityPools/cloudmlops-ci/attribute.repository/contoso/churn/vertex-prod"
    error_message = "Another connection comes in than the mapping tells."
  }
}

run "sources_elsewhere_are_read_by_those_who_need_them" {
  command = plan

  variables {
    source_datasets = ["sales"]
  }

  assert {
    condition     = keys(google_bigquery_dataset_iam_member.sources) == ["sales deploy", "sales train"]
    error_message = "Others read the sources."
  }
}

run "a_job_may_be_given_more" {
  command = plan

  variables {
    extra_roles = { train = ["roles/aiplatform.user"] }
  }

  assert {
    condition     = google_project_iam_member.extra["train roles/aiplatform.user"].member == "serviceAccount:cloudmlops-train@my-project.iam.gserviceaccount.com"
    error_message = "Another job has it."
  }
}

run "accounts_are_put_out" {
  command = apply

  assert {
    condition     = output.accounts["train"] == "cloudmlops-train@my-project.iam.gserviceaccount.com" && output.members["train"] == "serviceAccount:${output.accounts["train"]}"
    error_message = "Other accounts are put out than were made."
  }
}

run "a_dataset_has_an_id" {
  command = plan

  variables {
    dataset = "my-features"
  }

  expect_failures = [var.dataset]
}

run "only_known_hosts_vouch" {
  command = plan

  variables {
    ci = { host = "elsewhere", repository = "ada/churn", ref = "refs/heads/main" }
  }

  expect_failures = [var.ci]
}

run "a_repository_has_an_owner" {
  command = plan

  variables {
    ci = { host = "github", repository = "churn", ref = "refs/heads/main" }
  }

  expect_failures = [var.ci]
}

run "a_ref_is_one" {
  command = plan

  variables {
    ci = { host = "github", repository = "ada/churn", ref = "*" }
  }

  expect_failures = [var.ci]
}

run "azure_pipelines_name_who_vouches" {
  command = plan

  variables {
    ci = { host = "azure", subject = "sc://contoso/churn/vertex-prod" }
  }

  expect_failures = [var.ci]
}

run "azure_pipelines_name_one_connection_whole" {
  command = plan

  variables {
    ci = { host = "azure", issuer = "https://vstoken.dev.azure.com/00000000-0000-0000-0000-000000000001", subject = "sc://contoso/churn/*" }
  }

  expect_failures = [var.ci]
}

run "azure_pipelines_have_no_repository_and_no_ref" {
  command = plan

  variables {
    ci = {
      host       = "azure"
      issuer     = "https://vstoken.dev.azure.com/00000000-0000-0000-0000-000000000001"
      ref        = "vertex"
      repository = "contoso/churn"
      subject    = "sc://contoso/churn/vertex"
    }
  }

  expect_failures = [var.ci]
}

run "github_names_a_repository_and_a_ref_and_no_subject" {
  command = plan

  variables {
    ci = { host = "github", subject = "repo:ada/churn:environment:prod" }
  }

  expect_failures = [var.ci]
}

run "nobody_else_vouches_for_github" {
  command = plan

  variables {
    ci = { host = "github", repository = "ada/churn", ref = "refs/heads/main", issuer = "https://elsewhere.example.com" }
  }

  expect_failures = [var.ci]
}

run "only_known_jobs_are_given_more" {
  command = plan

  variables {
    extra_roles = { nobody = ["roles/aiplatform.user"] }
  }

  expect_failures = [var.extra_roles]
}

run "no_job_is_given_a_basic_role" {
  command = plan

  variables {
    extra_roles = { train = ["roles/editor"] }
  }

  expect_failures = [var.extra_roles]
}

run "a_name_is_short_and_plain" {
  command = plan

  variables {
    name = "My Names"
  }

  expect_failures = [var.name]
}

run "what_google_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    project         = "My Project"
    source_datasets = ["my-sales"]
  }

  expect_failures = [var.project, var.source_datasets]
}
