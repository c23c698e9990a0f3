# One identity a job: what a stolen token may do ends with the job.
resource "azurerm_user_assigned_identity" "job" {
  for_each = local.jobs

  name                = "id-${var.prefix}-${each.key}"
  resource_group_name = var.resource_group.name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "this" {
  for_each = var.federated

  name                      = each.key
  user_assigned_identity_id = azurerm_user_assigned_identity.job[each.value.job].id
  issuer                    = each.value.issuer
  subject                   = each.value.subject
  audience                  = ["api://AzureADTokenExchange"]
}
