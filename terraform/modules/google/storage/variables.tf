variable "bucket" {
  description = "Name of the bucket of ledger, inbox, artifacts and snapshots; unique among all of Google's."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket)) && !startswith(var.bucket, "goog") && !strcontains(var.bucket, "google")
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, hyphens and underscores; Google keeps names with google."
  }
}

variable "location" {
  description = "Region of the bucket and of the images, such as europe-west4: that of Vertex AI."
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

variable "deletion_protection" {
  description = "Whether Terraform refuses to remove the bucket. A bucket that holds something is never removed."
  type        = bool
  nullable    = false
  default     = true
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

variable "name" {
  description = "First part of the names of what is made: of the repository of images and of the custom roles."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "prefix" {
  description = "Folder of the platform in the bucket, as in the library's settings; empty is the whole bucket."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", var.prefix))
    error_message = "A prefix is a path without slashes at its ends."
  }
}

variable "pushers" {
  description = "Who may push images, by a name for it: members such as serviceAccount:ADDRESS."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for member in var.pushers : can(regex("^(serviceAccount|user|group):[^@\\s]+@[^@\\s]+$|^principal(Set)?://\\S+$", member))])
    error_message = "A member is one or some, such as serviceAccount:ADDRESS: nothing is public."
  }
}

variable "readers" {
  description = "Who may read objects, by a name for it: members such as serviceAccount:ADDRESS."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for member in var.readers : can(regex("^(serviceAccount|user|group):[^@\\s]+@[^@\\s]+$|^principal(Set)?://\\S+$", member))])
    error_message = "A member is one or some, such as serviceAccount:ADDRESS: nothing is public."
  }
}

variable "retention_days" {
  description = "Days that what was overwritten or removed is kept."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = var.retention_days >= 7 && var.retention_days <= 90 && floor(var.retention_days) == var.retention_days
    error_message = "Google keeps removed objects for 7 to 90 days."
  }
}

variable "writers" {
  description = "Who may read, create and, outside of the ledger, overwrite and remove objects, by a name for it: members."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for member in var.writers : can(regex("^(serviceAccount|user|group):[^@\\s]+@[^@\\s]+$|^principal(Set)?://\\S+$", member))])
    error_message = "A member is one or some, such as serviceAccount:ADDRESS: nothing is public."
  }
}
