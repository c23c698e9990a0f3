variable "budget_start_month" {
  type        = string
  nullable    = false
  description = "First month that the budget watches, such as `2026-12`."
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Begins the name of everything that is made, such as `contoso-dev`."
}

variable "repository" {
  type        = string
  nullable    = false
  description = "Repository on GitHub whose workflows deploy, such as `contoso/flights`."

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is an owner and a name, such as contoso/flights."
  }
}

variable "subscription" {
  type        = string
  nullable    = false
  description = "Id of the subscription."
}

variable "team" {
  type        = string
  nullable    = false
  description = "Object id in Entra of the group that works on the project."
}

variable "tenant" {
  type        = string
  nullable    = false
  description = "Id of the tenant of Entra."
}
