variable "display_name" {
  description = "What the endpoint is called in Google's console."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.display_name) >= 1 && length(var.display_name) <= 128
    error_message = "A display name has 1 to 128 characters."
  }
}

variable "location" {
  description = "Region, such as europe-west4."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.location))
    error_message = "A region is written such as europe-west4."
  }
}

variable "number" {
  description = "Id of the endpoint: up to ten digits, without leading zeros. Google's Terraform provider takes no other."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]{0,9}$", var.number))
    error_message = "A number has up to ten digits, the first of which is no zero."
  }
}

variable "project" {
  description = "Id of the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id has 6 to 30 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "encryption_key" {
  description = "Full name of a Cloud KMS key in the same region; null is Google's own encryption."
  type        = string
  default     = null

  validation {
    condition     = var.encryption_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.encryption_key))
    error_message = "A key's full name is projects/…/locations/…/keyRings/…/cryptoKeys/…."
  }
}

variable "labels" {
  description = "Labels of what is made."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "Labels and their values have up to 63 lower-case letters, digits, hyphens and underscores."
  }
}

variable "network" {
  description = "Full name of the VPC network that alone reaches the endpoint, such as projects/12345/global/networks/vpc; null is an address of its own, for whoever may predict."
  type        = string
  default     = null

  validation {
    condition     = var.network == null || can(regex("^projects/[0-9]+/global/networks/[a-z][a-z0-9-]*$", var.network))
    error_message = "A network's full name has the number of its project: projects/12345/global/networks/vpc."
  }
}
