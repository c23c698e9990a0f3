variable "project" {
  description = "Id of the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id has 6 to 30 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "emails" {
  description = "E-mail addresses that are told."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "An e-mail address has an @ and a domain."
  }
}

variable "errors_percent" {
  description = "Share of predictions of an endpoint that may fail within five minutes."
  type        = number
  nullable    = false
  default     = 5

  validation {
    condition     = var.errors_percent > 0 && var.errors_percent <= 100
    error_message = "A share is above 0 and up to 100 per cent."
  }
}

variable "latency_ms" {
  description = "Milliseconds that 95 of 100 predictions of an endpoint may take."
  type        = number
  nullable    = false
  default     = 1000

  validation {
    condition     = var.latency_ms > 0
    error_message = "A prediction takes some time."
  }
}

variable "name" {
  description = "First part of the names of what is made."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "subscription" {
  description = "Name of the subscription whose worker is watched; null watches none."
  type        = string
  default     = null

  validation {
    condition     = var.subscription == null || can(regex("^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$", var.subscription))
    error_message = "A subscription is written by its name alone, of 3 to 255 letters, digits and marks."
  }
}

variable "waiting_minutes" {
  description = "Minutes that an event may wait for the worker."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = var.waiting_minutes >= 1
    error_message = "An event may wait for a minute at least."
  }
}
