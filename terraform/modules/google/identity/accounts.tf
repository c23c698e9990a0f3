resource "google_service_account" "job" {
  for_each = local.jobs

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = each.value.title
}

locals {
  # Known before the accounts are made.
  addresses = {
    for job, account in google_service_account.job : job => "${account.account_id}@${var.project}.iam.gserviceaccount.com"
  }
  members = { for job, address in local.addresses : job => "serviceAccount:${address}" }
}
