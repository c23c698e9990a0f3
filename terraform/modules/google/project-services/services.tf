resource "google_project_service" "this" {
  for_each = var.services

  project = var.project
  service = each.value

  # Others in the project may use a service, too: taking this module away takes none from them.
  disable_on_destroy         = false
  disable_dependent_services = false
}
