variable "location" {
  type        = string
  nullable    = false
  description = "Region of Azure: that of the workspace."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]+$", var.location))
    error_message = "location is a region's short name: small letters and digits, such as westeurope."
  }
}

variable "parts" {
  type        = object({ application_insights = string, key_vault = string })
  nullable    = false
  description = "Resource ids of what the workspace of models is attached to, and the feature store is as well: the output `parts` of the module `workspace`."
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Begins the name of everything that is made. Some names are unique among all customers of Azure."

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){2,15}$", var.prefix)) && length(var.prefix) <= 16
    error_message = "prefix has 3 to 16 small letters, digits and single hyphens, begins with a letter and ends with none of the hyphens."
  }
}

variable "resource_group" {
  type        = string
  nullable    = false
  description = "Name of the resource group of the workspace: the library looks for the feature store there."

  validation {
    condition     = can(regex("^[\\w.()-]{0,89}[\\w()-]$", var.resource_group))
    error_message = "resource_group has 1 to 90 letters, digits, underscores, hyphens, points and parentheses, and does not end with a point."
  }
}

variable "keep_deleted_days" {
  type        = number
  nullable    = false
  default     = 30
  description = "Days for which what was deleted or overwritten in the feature store's storage account can be brought back."

  validation {
    condition     = var.keep_deleted_days >= 1 && var.keep_deleted_days <= 365 && floor(var.keep_deleted_days) == var.keep_deleted_days
    error_message = "keep_deleted_days is a whole number from 1 to 365."
  }
}

variable "redis" {
  type = object({
    sku               = optional(string, "Balanced_B0")
    high_availability = optional(bool, true)
    eviction          = optional(string, "NoEviction")
  })
  default     = null
  description = "What features are served from: size, whether a second copy stands by, and what is done when it is full (`NoEviction` refuses writes, `Volatile…` lets go of what has an end). It costs money day and night, `{}` as well. Null makes none: nothing is served online."

  validation {
    condition     = var.redis == null || can(regex("^(Balanced_B|ComputeOptimized_X|FlashOptimized_A|MemoryOptimized_M)[0-9]+$", var.redis.sku))
    error_message = "the sku of redis is one of Azure Managed Redis, such as Balanced_B0."
  }

  validation {
    condition     = var.redis == null || can(regex("^(NoEviction|Volatile(LRU|LFU|TTL|Random))$", var.redis.eviction))
    error_message = "the eviction of redis is NoEviction or one of VolatileLRU, VolatileLFU, VolatileTTL, VolatileRandom: any other loses rows that are served."
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

variable "spark" {
  type = object({
    executors = optional(number, 4)
    instance  = optional(string, "standard_e8s_v3")
    runtime   = optional(string, "3.5")
  })
  nullable    = false
  default     = {}
  description = "Serverless Spark of jobs that join what is too large for one machine: executors beside the driver, size of its machines, version. Azure makes it for each job, and nothing is paid for in between."

  validation {
    condition     = var.spark.executors >= 1 && var.spark.executors <= 256 && floor(var.spark.executors) == var.spark.executors
    error_message = "the executors of spark are a whole number from 1 to 256."
  }

  validation {
    condition     = can(regex("(?i)^standard_e(4|8|16|32|64)s_v3$", var.spark.instance))
    error_message = "the instance of spark is standard_e4s_v3, e8s, e16s, e32s or e64s."
  }

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+$", var.spark.runtime))
    error_message = "the runtime of spark is a version such as 3.5."
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

variable "users" {
  type        = map(string)
  nullable    = false
  default     = {}
  description = "Object ids in Entra of who may use Redis, by a name, such as the identities of `train`, `serve` and `deploy`, whose gate asks the server. Azure Managed Redis knows one policy for all of them: all commands, all keys."

  validation {
    condition     = length(var.users) == 0 || var.redis != null
    error_message = "there is no Redis that users could use: give none, or let redis be made."
  }
}
