locals {
  roles = replace(var.name, "-", "_")

  # Both jobs read sources: one makes training tables of them, one looks at their columns when features are applied.
  reads_sources = ["deploy", "train"]
  # Who starts runs as the account of steps, and who makes endpoints as that of servers.
  acts_as = {
    "deploy as serve" = { who = "deploy", account = "serve" }
    "deploy as train" = { who = "deploy", account = "train" }
    "events as train" = { who = "events", account = "train" }
  }

  datasets = "projects/${var.project}/datasets/"
}

resource "google_project_iam_custom_role" "job" {
  for_each = local.jobs

  project     = var.project
  role_id     = "${local.roles}_${each.key}"
  title       = each.value.title
  stage       = "GA"
  permissions = each.value.permissions
}

# In the project, and not on the dataset: endpoints, feature views and the like have no narrower place that this provider
# can grant at, and platform.check_access() asks the project. What lies in other datasets is left out by the condition.
resource "google_project_iam_member" "job" {
  for_each = local.jobs

  project = var.project
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.job[each.key].role_id}"
  member  = local.members[each.key]

  condition {
    title       = "no other dataset"
    description = "Tables in the dataset of features alone."
    expression  = "!resource.name.startsWith(\"${local.datasets}\") || resource.name == \"${local.datasets}${var.dataset}\" || resource.name.startsWith(\"${local.datasets}${var.dataset}/\")"
  }
}

resource "google_project_iam_custom_role" "sources" {
  project     = var.project
  role_id     = "${local.roles}_sources"
  title       = "Reads sources of features"
  stage       = "GA"
  permissions = ["bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.list"]
}

resource "google_bigquery_dataset_iam_member" "sources" {
  for_each = { for pair in setproduct(var.source_datasets, local.reads_sources) : "${pair[0]} ${pair[1]}" => { dataset = pair[0], job = pair[1] } }

  project    = var.project
  dataset_id = each.value.dataset
  role       = "projects/${var.project}/roles/${google_project_iam_custom_role.sources.role_id}"
  member     = local.members[each.value.job]
}

resource "google_project_iam_custom_role" "acts_as" {
  project     = var.project
  role_id     = "${local.roles}_acts_as"
  title       = "Acts as an account"
  stage       = "GA"
  permissions = ["iam.serviceAccounts.actAs"]
}

resource "google_service_account_iam_member" "acts_as" {
  for_each = local.acts_as

  service_account_id = "projects/${var.project}/serviceAccounts/${local.addresses[each.value.account]}"
  role               = "projects/${var.project}/roles/${google_project_iam_custom_role.acts_as.role_id}"
  member             = local.members[each.value.who]
}

resource "google_project_iam_member" "extra" {
  for_each = merge([for job, roles in var.extra_roles : { for role in roles : "${job} ${role}" => { job = job, role = role } }]...)

  project = var.project
  role    = each.value.role
  member  = local.members[each.value.job]
}
