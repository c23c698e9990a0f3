output "endpoint" {
  description = "Full name of the endpoint."
  value       = "projects/${var.project}/locations/${var.location}/endpoints/${google_vertex_ai_endpoint.this.name}"
}
