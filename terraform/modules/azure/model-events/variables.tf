variable "location" {
  type        = string
  nullable    = false
  description = "Region of Azure: that of the workspace, where its system topic has to be."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]+$", var.location))
    error_message = "location is a region's short name: small letters and digits, such as westeurope."
  }
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Begins the name of everything that is made. The namespace's is unique in its region, among all customers of Azure."

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){2,15}$", var.prefix)) && length(var.prefix) <= 16
    error_message = "prefix has 3 to 16 small letters, digits and single hyphens, begins with a letter and ends with none of the hyphens."
  }
}

variable "resource_group" {
  type        = object({ id = string, name = string })
  nullable    = false
  description = "Resource group of the workspace, by its id and name: the library looks for the topic there."

  validation {
    condition     = can(regex("^[\\w.()-]{0,89}[\\w()-]$", var.resource_group.name))
    error_message = "resource_group has 1 to 90 letters, digits, underscores, hyphens, points and parentheses, and does not end with a point."
  }
}

variable "storage_account_id" {
  type        = string
  nullable    = false
  description = "Resource id of the storage account that gets a container for what could not be delivered."
}

variable "workspace_id" {
  type        = string
  nullable    = false
  description = "Resource id of the workspace whose events are brought here."
}

variable "attempts" {
  type        = number
  nullable    = false
  default     = 10
  description = "How often an event is handed to a worker that does not acknowledge it, before it becomes a dead letter."

  validation {
    condition     = var.attempts >= 1 && var.attempts <= 10 && floor(var.attempts) == var.attempts
    error_message = "attempts is a whole number from 1 to 10."
  }
}

variable "kinds" {
  type        = set(string)
  nullable    = false
  default     = ["ModelRegistered", "RunCompleted"]
  description = "What the workspace tells: `ModelRegistered`, `ModelDeployed`, `RunCompleted`, `RunStatusChanged` (which a failed run is told by), `DatasetDriftDetected`."

  validation {
    condition = length(var.kinds) > 0 && length(setsubtract(var.kinds, [
      "ModelRegistered", "ModelDeployed", "RunCompleted", "RunStatusChanged", "DatasetDriftDetected",
    ])) == 0
    error_message = "kinds are some of ModelRegistered, ModelDeployed, RunCompleted, RunStatusChanged and DatasetDriftDetected."
  }
}

variable "lock_seconds" {
  type        = number
  nullable    = false
  default     = 60
  description = "How long an event that a worker has taken is kept from others."

  validation {
    condition     = var.lock_seconds >= 60 && var.lock_seconds <= 300 && floor(var.lock_seconds) == var.lock_seconds
    error_message = "lock_seconds is a whole number from 60 to 300."
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

variable "webhook" {
  type        = object({ tenant = string, url = optional(string) })
  default     = null
  description = "Where the workspace's events are pushed to, as well: `cloudmlops events serve` or a Function, behind an https address, and the tenant of Entra whose tokens prove that Event Grid pushes. Without the address only what the tokens are for is made, so that the receiver can be started. Null: workers pull."

  validation {
    condition     = try(var.webhook.url, null) == null || can(regex("^https://[^/?#@]+(/[^?#]*)?$", var.webhook.url))
    error_message = "the url of webhook is an https address without a query: tokens of Entra let Event Grid in, and not a key."
  }

  validation {
    condition     = var.webhook == null || can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.webhook.tenant))
    error_message = "the tenant of webhook is the id of a tenant, a UUID: a webhook that asks for no tokens is open to all."
  }
}
