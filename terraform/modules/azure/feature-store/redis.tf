resource "azurerm_managed_redis" "this" {
  count = var.redis == null ? 0 : 1

  name                      = "redis-${var.prefix}"
  resource_group_name       = var.resource_group
  location                  = var.location
  sku_name                  = var.redis.sku
  high_availability_enabled = var.redis.high_availability
  public_network_access     = "Enabled" # and every caller proves to Entra who it is
  tags                      = var.tags

  default_database {
    access_keys_authentication_enabled = false
    client_protocol                    = "Encrypted"
    clustering_policy                  = "EnterpriseCluster" # the OSS policy wants another client than the library's
    eviction_policy                    = var.redis.eviction
  }
}

resource "azurerm_managed_redis_access_policy_assignment" "user" {
  for_each = var.users

  managed_redis_id = azurerm_managed_redis.this[0].id
  object_id        = each.value
}
