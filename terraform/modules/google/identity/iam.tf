locals {
  roles = replace(var.name, "-", "_")

  # Both jobs read sources: one makes training tables of them, one looks at their columns when features are applied.
  reads_sources = ["deploy", "train"]
  # Who starts runs as the account of steps, and who makes endpoints, or has files scored, as that of servers.
  acts_as = {
    "deploy as serve" = { who = "deploy", account = "serve" }
    "deploy as train" = { who = "deploy", account = "train" }
    "events as train" = { who = "events", account = "train" }
    "train as serve"  = { who = "train", account = "serve" }
  }

  # What concerns a dataset that is there, and its tables, is granted on one dataset alone.
  of_tables = {
    for job, known in local.jobs : job => [
      for permission in known.permissions : permission
      if startswith(permission, "bigquery.tables.") || permission == "bigquery.datasets.get"
    ]
  }
  in_tables = { for job, permissions in local.of_tables : job => permissions if length(permissions) > 0 }
  datasets  = "projects/${var.project}/datasets/"
}

# In the project: endpoints, feature views and the like have no narrower place that this provider can grant at, and
# platform.check_access() asks the project.
resource "google_project_iam_custom_role" "job" {
  for_each = local.jobs

  project     = var.project
  role_id     = "${local.roles}_${each.key}"
  title       = each.value.title
  stage       = "GA"
  permissions = setsubtract(each.value.permissions, local.of_tables[each.key])
}

resource "google_project_iam_member" "job" {
  for_each = local.jobs

  project = var.project
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.job[each.key].role_id}"
  member  = local.members[each.key]
}

resource "google_project_iam_custom_role" "tables" {
  for_each = local.in_tables

  project     = var.project
  role_id     = "${local.roles}_${each.key}_tables"
  title       = "${local.jobs[each.key].title}: tables"
  stage       = "GA"
  permissions = each.value
}

# In the project, too, so that platform.check_access() sees it, and under a condition that leaves other datasets out.
resource "google_project_iam_member" "tables" {
  for_each = local.in_tables

  project = var.project
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.tables[each.key].role_id}"
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
