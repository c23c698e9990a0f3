output "accounts" {
  description = "E-mail address of each job's account (deploy, events, serve, train), known when it has its rights."
  value       = local.addresses

  depends_on = [
    google_bigquery_dataset_iam_member.sources,
    google_project_iam_member.extra,
    google_project_iam_member.job,
    google_project_iam_member.tables,
    google_service_account_iam_member.acts_as,
  ]
}

output "members" {
  description = "Each job's account as members of policies are written."
  value       = local.members
}

output "workload_identity_provider" {
  description = "Full name of the provider that continuous integration names when it asks for a token; null without one."
  value       = one([for provider in google_iam_workload_identity_pool_provider.ci : provider.name])

  depends_on = [google_service_account_iam_member.ci]
}
