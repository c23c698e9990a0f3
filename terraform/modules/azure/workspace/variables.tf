variable "location" {
  type        = string
  nullable    = false
  description = "Region of Azure that everything lies in, such as `westeurope`."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]+$", var.location))
    error_message = "location is a region's short name: small letters and digits, such as westeurope."
  }
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Begins the name of everything that is made. Some names are unique among all customers of Azure: take one that is yours, such as `contoso-dev`."

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){2,15}$", var.prefix)) && length(var.prefix) <= 16
    error_message = "prefix has 3 to 16 small letters, digits and single hyphens, begins with a letter and ends with none of the hyphens."
  }
}

variable "tenant" {
  type        = string
  nullable    = false
  description = "Id of the tenant of Entra that the key vault trusts."

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.tenant))
    error_message = "tenant is the id of a tenant, a UUID."
  }
}

variable "container" {
  type        = string
  nullable    = false
  default     = "cloudmlops"
  description = "Container of the storage account for ledger, inbox, artifacts and features. The datastore has the same name."

  validation {
    condition     = can(regex("^[a-z0-9]{3,63}$", var.container))
    error_message = "container has 3 to 63 small letters and digits: it is a datastore's name as well, which has no hyphens."
  }
}

variable "keep_deleted_days" {
  type        = number
  nullable    = false
  default     = 30
  description = "Days for which what was deleted or overwritten in the storage account, or deleted in the key vault, can be brought back."

  validation {
    condition     = var.keep_deleted_days >= 7 && var.keep_deleted_days <= 90 && floor(var.keep_deleted_days) == var.keep_deleted_days
    error_message = "keep_deleted_days is a whole number from 7 to 90, which is what a key vault takes."
  }
}

variable "log_gb_a_day" {
  type        = number
  nullable    = false
  default     = 1
  description = "GB of logs that are taken a day; what exceeds them is dropped and not paid for. -1 takes all."

  validation {
    condition     = var.log_gb_a_day == -1 || var.log_gb_a_day >= 0.023
    error_message = "log_gb_a_day is 0.023 at least, or -1 for all."
  }
}

variable "registry_sku" {
  type        = string
  nullable    = false
  default     = "Basic"
  description = "Tier of the container registry: `Basic`, `Standard` or `Premium`."

  validation {
    condition     = contains(["Basic", "Standard", "Premium"], var.registry_sku)
    error_message = "registry_sku is Basic, Standard or Premium."
  }
}

variable "replication" {
  type        = string
  nullable    = false
  default     = "ZRS"
  description = "Where copies of what is stored lie: `LRS` in one datacentre, `ZRS` in three zones of the region, `GRS` or `GZRS` in a second region as well."

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS"], var.replication)
    error_message = "replication is LRS, ZRS, GRS or GZRS."
  }
}

variable "resource_group" {
  type        = string
  default     = null
  description = "Name of a resource group that is there already; null makes one."

  validation {
    condition     = var.resource_group == null || can(regex("^[\\w.()-]{0,89}[\\w()-]$", var.resource_group))
    error_message = "resource_group has 1 to 90 letters, digits, underscores, hyphens, points and parentheses, and does not end with a point."
  }
}

variable "tags" {
  type        = map(string)
  nullable    = false
  default     = {}
  description = "Tags of everything that is made."

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for name, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,512}$", name)) && length(value) <= 256])
    error_message = "tags are up to 50, with names of up to 512 characters, none of them one of <>%&\\?/, and values of up to 256."
  }
}
