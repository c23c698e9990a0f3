variable "budget" {
  type = object({
    amount      = number
    start_month = string
    emails      = optional(set(string), [])
  })
  nullable    = false
  description = "What all of it may cost in a month, in the currency of the bill; the first month that is watched, such as `2026-12`; who is told by mail."
}

variable "location" {
  type        = string
  nullable    = false
  description = "Region of Azure that everything lies in, such as `westeurope`."
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Begins the name of everything that is made. Some names are unique among all customers of Azure: take one that is yours, such as `contoso-dev`."
}

variable "subscription" {
  type        = string
  nullable    = false
  description = "Id of the subscription that everything lies in; the library's setting `subscription`."

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.subscription))
    error_message = "subscription is the id of a subscription, a UUID."
  }
}

variable "tenant" {
  type        = string
  nullable    = false
  description = "Id of the tenant of Entra that the subscription trusts."

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.tenant))
    error_message = "tenant is the id of a tenant, a UUID."
  }
}

variable "compute" {
  type = object({
    idle_cost    = optional(number, 0)
    idle_seconds = optional(number, 120)
    machine      = optional(string, "Standard_DS3_v2")
    machine_usd  = optional(number)
    max_nodes    = optional(number, 4)
    min_nodes    = optional(number, 0)
    priority     = optional(string, "Dedicated")
  })
  default     = {}
  description = "Cluster that steps run on, as the module `compute` has it: no machine and no cost while nothing runs. Null: steps run on serverless compute."
}

variable "events" {
  type = object({
    kinds   = optional(set(string), ["ModelRegistered", "RunCompleted"])
    webhook = optional(object({ url = optional(string) }))
  })
  default     = {}
  description = "What the workspace tells, and the `url` of what it is pushed to as well: `cloudmlops events serve` or a Function, at an https address. `webhook = {}` makes what such a receiver is told before it can answer (`push_audience`); without `webhook` workers pull. The namespace costs money day and night. Null: events stay in the library's inbox."
}

variable "features" {
  type = object({
    redis = optional(object({
      sku               = optional(string, "Balanced_B0")
      high_availability = optional(bool, true)
      eviction          = optional(string, "NoEviction")
    }))
    spark = optional(object({
      executors = optional(number, 4)
      instance  = optional(string, "standard_e8s_v3")
      runtime   = optional(string, "3.5")
    }), {})
  })
  default     = {}
  description = "Feature store, as the module `feature-store` has it. `redis = {}` makes the smallest Redis, which costs money day and night; without it nothing is served online. Null: no workspace shows feature sets."
}

variable "federated" {
  type = map(object({
    issuer  = string
    subject = string
    job     = optional(string, "deploy")
  }))
  nullable    = false
  default     = {}
  description = "Who becomes the identity of a job without a secret, by a name, as the module `identity` has it: continuous integration first of all."
}

variable "keep_deleted_days" {
  type        = number
  nullable    = false
  default     = 30
  description = "Days for which what was deleted or overwritten can be brought back."
}

variable "log_gb_a_day" {
  type        = number
  nullable    = false
  default     = 1
  description = "GB of logs that are taken a day; what exceeds them is dropped and not paid for. -1 takes all."
}

variable "people" {
  type = map(object({
    object_id = string
    role      = string
    type      = optional(string, "Group")
  }))
  nullable    = false
  default     = {}
  description = "Who has which of the library's roles, by a name, as the module `identity` has it."
}

variable "registry_sku" {
  type        = string
  nullable    = false
  default     = "Basic"
  description = "Tier of the container registry: `Basic`, `Standard` or `Premium`."
}

variable "replication" {
  type        = string
  nullable    = false
  default     = "ZRS"
  description = "Where copies of what is stored lie: `LRS`, `ZRS`, `GRS` or `GZRS`."
}

variable "resource_group" {
  type        = string
  default     = null
  description = "Name of a resource group that is there already; null makes one."
}

variable "serving_image" {
  type        = string
  nullable    = false
  default     = "cloudmlops/serving:latest"
  description = "Image in the registry that serves models. `cloudmlops image serving FOLDER` writes what it is built from."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$", var.serving_image))
    error_message = "serving_image is an image of the registry without its host, such as cloudmlops/serving:latest."
  }
}

variable "tags" {
  type        = map(string)
  nullable    = false
  default     = {}
  description = "Tags of everything that is made."
}
