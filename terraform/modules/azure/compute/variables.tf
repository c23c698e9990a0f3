variable "identity_id" {
  type        = string
  nullable    = false
  description = "Resource id of the user-assigned identity that steps act as: the job `train` of the module `identity`."
}

variable "location" {
  type        = string
  nullable    = false
  description = "Region of Azure: that of the workspace, or another one."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]+$", var.location))
    error_message = "location is a region's short name: small letters and digits, such as westeurope."
  }
}

variable "workspace_id" {
  type        = string
  nullable    = false
  description = "Resource id of the workspace."
}

variable "idle_cost" {
  type        = number
  nullable    = false
  default     = 0
  description = "US dollars a month that you agree to pay for machines that are kept though nothing runs. Wanted when `min_nodes` is above 0; the library's setting `compute_idle_cost`."

  validation {
    condition     = var.idle_cost >= 0
    error_message = "idle_cost is 0 or more."
  }
}

variable "idle_seconds" {
  type        = number
  nullable    = false
  default     = 120
  description = "Seconds after which a machine that has nothing to do is given back."

  validation {
    condition     = var.idle_seconds >= 30 && var.idle_seconds <= 3600 && floor(var.idle_seconds) == var.idle_seconds
    error_message = "idle_seconds is a whole number from 30 to 3600: longer, and idle machines are what is paid for."
  }
}

variable "machine" {
  type        = string
  nullable    = false
  default     = "Standard_DS3_v2"
  description = "Size of the machines."

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_]{2,63}$", var.machine))
    error_message = "machine is a size of machines such as Standard_DS3_v2."
  }
}

variable "machine_usd" {
  type        = number
  default     = null
  description = "US dollars that a machine costs an hour, where this module knows no price of it, or where yours is higher."

  validation {
    condition     = var.machine_usd == null || try(var.machine_usd > 0, false)
    error_message = "machine_usd is above 0."
  }
}

variable "max_nodes" {
  type        = number
  nullable    = false
  default     = 4
  description = "Machines that the cluster has at most."

  validation {
    condition     = var.max_nodes >= 1 && var.max_nodes <= 1000 && floor(var.max_nodes) == var.max_nodes
    error_message = "max_nodes is a whole number from 1 to 1000."
  }
}

variable "min_nodes" {
  type        = number
  nullable    = false
  default     = 0
  description = "Machines that are kept, and paid for day and night, though nothing runs. Above 0, `idle_cost` must agree to what they cost."

  validation {
    condition     = var.min_nodes >= 0 && var.min_nodes <= var.max_nodes && floor(var.min_nodes) == var.min_nodes
    error_message = "min_nodes is a whole number from 0 to max_nodes."
  }

  validation {
    condition     = var.min_nodes == 0 || try(var.idle_cost >= var.min_nodes * local.machine_cost_per_month, false)
    error_message = "${var.min_nodes} ${var.machine} would be kept though nothing runs, ${local.cost_told}. Let min_nodes be 0; or agree to the sum with idle_cost${local.machine_cost_per_month == null ? ", and give the price with machine_usd" : ""}."
  }
}

variable "name" {
  type        = string
  nullable    = false
  default     = "cpu"
  description = "Name of the cluster; the library's setting `compute`."

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]$", var.name))
    error_message = "name has 3 to 32 letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "priority" {
  type        = string
  nullable    = false
  default     = "Dedicated"
  description = "`Dedicated`, or `LowPriority`: about a fifth of the price, and Azure may take the machines away while steps run on them."

  validation {
    condition     = contains(["Dedicated", "LowPriority"], var.priority)
    error_message = "priority is Dedicated or LowPriority."
  }
}

variable "tags" {
  type        = map(string)
  nullable    = false
  default     = {}
  description = "Tags of the cluster."

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for name, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,512}$", name)) && length(value) <= 256])
    error_message = "tags are up to 50, with names of up to 512 characters, none of them one of <>%&\\?/, and values of up to 256."
  }
}
