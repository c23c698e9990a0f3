locals {
  hosts = {
    github = {
      issuer     = "https://token.actions.githubusercontent.com"
      repository = "repository"
    }
    gitlab = {
      issuer     = "https://gitlab.com"
      repository = "project_path"
    }
  }
  host = var.ci == null ? null : local.hosts[var.ci.host]
  # Whose tokens are taken at all: those of this repository and ref, as their host vouches for them.
  from = var.ci == null ? {} : { (var.ci.host) = {
    issuer     = local.host.issuer
    repository = local.host.repository
    condition  = "assertion.${local.host.repository} == \"${var.ci.repository}\" && assertion.ref == \"${var.ci.ref}\""
  } }
}

resource "google_iam_workload_identity_pool" "ci" {
  for_each = local.from

  project                   = var.project
  workload_identity_pool_id = "${var.name}-ci"
  display_name              = "Continuous integration"
}

resource "google_iam_workload_identity_pool_provider" "ci" {
  for_each = local.from

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci[each.key].workload_identity_pool_id
  workload_identity_pool_provider_id = each.key
  attribute_condition                = each.value.condition
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.${each.value.repository}"
  }

  oidc {
    issuer_uri = each.value.issuer
  }
}

resource "google_service_account_iam_member" "ci" {
  for_each = local.from

  service_account_id = "projects/${var.project}/serviceAccounts/${local.addresses["deploy"]}"
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci[each.key].name}/attribute.repository/${var.ci.repository}"
}
