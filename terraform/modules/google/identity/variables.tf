variable "dataset" {
  description = "BigQuery dataset of features: the only one that jobs may make and write tables in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_]+$", var.dataset)) && length(var.dataset) <= 1024
    error_message = "A dataset's id has letters, digits and underscores."
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

variable "ci" {
  description = <<-EOT
    Whose continuous integration acts as the job deploy, without a key. Of github and gitlab: the repository or project
    (ORGANISATION/NAME), and the ref whose runs may, such as refs/heads/main of GitHub or main of GitLab, a protected branch. Of azure,
    which is Azure Pipelines: issuer and subject, as the service connection shows them whose runs may. Null is nobody.
  EOT
  type = object({
    host       = string
    issuer     = optional(string)
    ref        = optional(string)
    repository = optional(string)
    subject    = optional(string)
  })
  default = null

  validation {
    condition     = var.ci == null || contains(["azure", "github", "gitlab"], try(var.ci.host, ""))
    error_message = "A host is azure, github or gitlab."
  }

  validation {
    condition = var.ci == null || try(
      var.ci.host == "azure" ? var.ci.repository == null : can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$", var.ci.repository)),
      false,
    )
    error_message = "A repository is ORGANISATION/NAME; azure has a subject in its place."
  }

  validation {
    condition     = var.ci == null || try(var.ci.host == "azure" ? var.ci.ref == null : can(regex("^[A-Za-z0-9._/-]+$", var.ci.ref)), false)
    error_message = "A ref is a branch or a tag, without wildcards; azure has a subject in its place."
  }

  validation {
    condition = var.ci == null || try(
      var.ci.host == "azure" ? can(regex("^https://(vstoken\\.dev\\.azure\\.com|login\\.microsoftonline\\.com)/[0-9a-f-]{36}(/v2\\.0)?$", var.ci.issuer)) : var.ci.issuer == null,
      false,
    )
    error_message = "An issuer is given for azure alone: https://login.microsoftonline.com/TENANT_ID/v2.0, or, of older connections, https://vstoken.dev.azure.com/ORGANISATION_ID."
  }

  validation {
    condition = var.ci == null || try(
      var.ci.host == "azure" ? can(regex("^(sc:/(/[A-Za-z0-9._-]+){3}|/eid1(/[A-Za-z0-9_-]+)+/sc/[0-9a-f-]{36}/[0-9a-f-]{36})$", var.ci.subject)) : var.ci.subject == null,
      false,
    )
    error_message = "A subject is given for azure alone, whole: /eid1/…/sc/ORGANISATION_ID/CONNECTION_ID, or, of older connections, sc://ORGANISATION/PROJECT/NAME, without spaces."
  }
}

variable "extra_roles" {
  description = "Further roles in the project, by job: of sources elsewhere, or what your own code needs. None are basic roles."
  type        = map(set(string))
  nullable    = false
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.extra_roles), ["deploy", "events", "serve", "train"])) == 0
    error_message = "The jobs are deploy, events, serve and train."
  }

  validation {
    condition     = length(setintersection(flatten([for roles in var.extra_roles : roles]), ["roles/editor", "roles/owner", "roles/viewer"])) == 0
    error_message = "Basic roles are given to no job."
  }
}

variable "name" {
  description = "First part of the names of accounts, of custom roles and of the pool."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "source_datasets" {
  description = "Further datasets of the project that features may be read from."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for dataset in var.source_datasets : can(regex("^[A-Za-z0-9_]+$", dataset))])
    error_message = "A dataset's id has letters, digits and underscores."
  }
}
