# A consumer waits for the roles as well: an identity without them is refused.
output "clients" {
  description = "Client ids of the identities, by job: what a workflow logs in as, or a worker names in `AZURE_CLIENT_ID`."
  value       = { for job, one in azurerm_user_assigned_identity.job : job => one.client_id }
  depends_on  = [azurerm_role_assignment.own, azurerm_role_assignment.given, azurerm_role_assignment.assigns_serve]
}

output "ids" {
  description = "Resource ids of the identities, by job. That of `serve` is the library's setting `endpoint_identity`."
  value       = { for job, one in azurerm_user_assigned_identity.job : job => one.id }
  depends_on  = [azurerm_role_assignment.own, azurerm_role_assignment.given, azurerm_role_assignment.assigns_serve]
}

output "principals" {
  description = "Object ids of the identities in Entra, by job."
  value       = { for job, one in azurerm_user_assigned_identity.job : job => one.principal_id }
  depends_on  = [azurerm_role_assignment.own, azurerm_role_assignment.given, azurerm_role_assignment.assigns_serve]
}
