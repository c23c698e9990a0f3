resource "azurerm_machine_learning_compute_cluster" "this" {
  name                          = var.name
  location                      = var.location
  machine_learning_workspace_id = var.workspace_id
  description                   = "Machines of cloudmlops: what runs' steps run on."
  vm_size                       = var.machine
  vm_priority                   = var.priority
  local_auth_enabled            = false
  ssh_public_access_enabled     = false
  node_public_ip_enabled        = true # without a network of your own, machines reach nothing without an address
  tags                          = var.tags

  scale_settings {
    min_node_count                       = var.min_nodes
    max_node_count                       = var.max_nodes
    scale_down_nodes_after_idle_duration = "PT${var.idle_seconds}S"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_id]
  }
}
