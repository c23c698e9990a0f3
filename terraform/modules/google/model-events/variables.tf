variable "location" {
  description = "Region, such as europe-west4: that of Vertex AI."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.location))
    error_message = "A region is written such as europe-west4."
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

variable "project_number" {
  description = "Number of the project: Pub/Sub's own account is named after it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+$", var.project_number))
    error_message = "A number has digits only."
  }
}

variable "consumers" {
  description = "Who may pull events, by a name for it: members such as serviceAccount:ADDRESS."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for member in var.consumers : can(regex("^(serviceAccount|user|group):[^@\\s]+@[^@\\s]+$|^principal(Set)?://\\S+$", member))])
    error_message = "A member is one or some, such as serviceAccount:ADDRESS: nothing is public."
  }
}

variable "encryption_key" {
  description = "Full name of a Cloud KMS key in the same region, for messages; null is Google's own encryption."
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

variable "name" {
  description = "First part of the names of topic, subscription, sink, triggers, service and custom roles."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "publishers" {
  description = "Who may publish events, by a name for it: members."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for member in var.publishers : can(regex("^(serviceAccount|user|group):[^@\\s]+@[^@\\s]+$|^principal(Set)?://\\S+$", member))])
    error_message = "A member is one or some, such as serviceAccount:ADDRESS: nothing is public."
  }
}

variable "receiver" {
  description = <<-EOT
    A service that is pushed to: the image that runs `cloudmlops events serve`, the e-mail address of the account that it
    acts as and that the triggers push as, the target that it connects to, and how many of it there are at most. Null makes
    none: a worker pulls from the subscription.
  EOT
  type = object({
    account   = string
    image     = string
    instances = optional(number, 2)
    target    = string
  })
  default = null

  validation {
    condition     = var.receiver == null || can(regex("^[^@]+@[^@]+\\.iam\\.gserviceaccount\\.com$", var.receiver.account))
    error_message = "An account is the e-mail address of a service account."
  }

  validation {
    condition     = var.receiver == null || startswith(try(var.receiver.target, ""), "vertex://")
    error_message = "A target is written such as vertex://PROJECT/LOCATION?bucket=BUCKET."
  }

  validation {
    condition     = var.receiver == null || try(var.receiver.instances >= 1 && var.receiver.instances <= 100, false)
    error_message = "There are 1 to 100 instances at most."
  }
}

variable "retention_days" {
  description = "Days that events wait for a worker."
  type        = number
  nullable    = false
  default     = 7

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 31
    error_message = "Pub/Sub keeps messages for 1 to 31 days."
  }
}
