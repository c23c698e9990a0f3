locals {
  _ci         = var.ci != null ? var.ci : { host = "", issuer = null, ref = null, repository = null, subject = null }
  _repository = local._ci.repository != null ? local._ci.repository : ""
  _ref        = local._ci.ref != null ? local._ci.ref : ""
  # Which service connection a subject of Azure's tells: all of sc://ORGANISATION/PROJECT/NAME, and of Entra's longer ones the end,
  # for Google takes no subject of more than 127 bytes.
  _subject    = local._ci.subject != null ? local._ci.subject : ""
  _before     = startswith(local._subject, "sc://") ? "sc://" : "/sc/"
  _connection = element(split(local._before, local._subject), -1)
  # Whose tokens are taken at all: those of this repository and ref, as their host vouches for them.
  hosts = {
    github = {
      issuer    = "https://token.actions.githubusercontent.com"
      audiences = null # the provider's own full name
      claim     = "assertion.repository"
      subject   = "assertion.sub"
      names     = local._repository
      condition = "assertion.repository == \"${local._repository}\" && assertion.ref == \"${local._ref}\""
    }
    gitlab = {
      issuer    = "https://gitlab.com"
      audiences = null
      claim     = "assertion.project_path"
      subject   = "assertion.sub"
      names     = local._repository
      # GitLab's ref is a bare name, which a tag may have as well; whom to let push a protected branch is the project's to say.
      condition = join(" && ", [
        "assertion.project_path == \"${local._repository}\"",
        "assertion.ref == \"${local._ref}\"",
        "assertion.ref_type == \"branch\"",
        "assertion.ref_protected == \"true\"",
      ])
    }
    # Azure Pipelines have tokens of a service connection, which lets its pipelines in. Entra writes the audience of those that it
    # issues itself as the id of the application that is called so, which is the same in every tenant.
    azure = {
      issuer    = local._ci.issuer
      audiences = tolist(["api://AzureADTokenExchange", "fb60f99c-7a34-4190-8149-302f77469936"])
      claim     = "assertion.sub.extract('${local._before}{connection}')"
      subject   = "assertion.sub.extract('${local._before}{connection}')"
      names     = local._connection
      condition = "assertion.sub == \"${local._subject}\""
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
    "google.subject"       = each.value.subject
    "attribute.repository" = each.value.claim
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
