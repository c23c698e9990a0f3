output "project" {
  description = "Id of the project, known when its services are on: what takes it from here waits for them."
  value       = var.project

  depends_on = [google_project_service.this]
}

output "services" {
  description = "Services that are on."
  value       = sort([for service in google_project_service.this : service.service])
}
