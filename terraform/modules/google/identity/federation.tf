locals {
  _ci         = var.ci != null ? var.ci : { host = "", ref = "", repository = "", issuer = null }
  _connection = "sc://${local._ci.repository}/${local._ci.ref}"
  # Whose tokens are taken at all: those of this repository and ref, as their host vouches for them.
  hosts = {
    github = {
      issuer    = "https://token.actions.githubusercontent.com"
      audiences = null # the provider's own full name
      claim     = "repository"
      names     = local._ci.repository
      condition = "assertion.repository == \"${local._ci.repository}\" && assertion.ref == \"${local._ci.ref}\""
    }
    gitlab = {
      issuer    = "https://gitlab.com"
      audiences = null
      claim     = "project_path"
      names     = local._ci.repository
      # GitLab's ref is a bare name, which a tag may have as well; whom to let push a protected branch is the project's to say.
      condition = join(" && ", [
        "assertion.project_path == \"${local._ci.repository}\"",
        "assertion.ref == \"${local._ci.ref}\"",
        "assertion.ref_type == \"branch\"",
        "assertion.ref_protected == \"true\"",
      ])
    }
    # Azure Pipelines have tokens of a service connection, which lets its pipelines in.
    azure = {
      issuer    = local._ci.issuer
      audiences = tolist(["api://AzureADTokenExchange"])
      claim     = "sub"
      names     = local._connection
      condition = "assertion.sub == \"${local._connection}\""
    }
  }
  from = { for host, one in local.hosts : host => one if host == local._ci.host }
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
    "attribute.repository" = "assertion.${each.value.claim}"
  }

  oidc {
    issuer_uri        = each.value.issuer
    allowed_audiences = each.value.audiences
  }
}

resource "google_service_account_iam_member" "ci" {
  for_each = local.from

  service_account_id = "projects/${var.project}/serviceAccounts/${local.addresses["deploy"]}"
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci[each.key].name}/attribute.repository/${each.value.names}"
}
