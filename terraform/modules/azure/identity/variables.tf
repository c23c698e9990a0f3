variable "container_id" {
  type        = string
  nullable    = false
  description = "Resource id of the container that ledger, inbox, artifacts and features lie in."
}

variable "location" {
  type        = string
  nullable    = false
  description = "Region of Azure that the identities lie in."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]+$", var.location))
    error_message = "location is a region's short name: small letters and digits, such as westeurope."
  }
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Begins the names of identities and roles. Names of roles are unique in a tenant."

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){2,15}$", var.prefix))
    error_message = "prefix has 3 to 16 small letters, digits and single hyphens, begins with a letter and ends with none of the hyphens."
  }
}

variable "resource_group" {
  type        = object({ id = string, name = string })
  nullable    = false
  description = "Resource group of the workspace, by its id and name: the identities lie in it, and the roles are for nothing outside of it."

  validation {
    condition     = can(regex("^[\\w.()-]{0,89}[\\w()-]$", var.resource_group.name))
    error_message = "resource_group has 1 to 90 letters, digits, underscores, hyphens, points and parentheses, and does not end with a point."
  }
}

variable "storage_account_id" {
  type        = string
  nullable    = false
  description = "Resource id of the storage account that the container is in: `people` have their roles on it."
}

variable "workspace_id" {
  type        = string
  nullable    = false
  description = "Resource id of the workspace."
}

variable "feature_store" {
  type        = object({ workspace_id = string, storage_account_id = string })
  default     = null
  description = "Workspace that shows the feature sets, and its storage account: the module `feature-store`. Null: there is none."
}

variable "federated" {
  type = map(object({
    issuer  = string
    subject = string
    job     = optional(string, "deploy")
  }))
  nullable    = false
  default     = {}
  description = "Who becomes the identity of a job without a secret, by a name: `issuer` and `subject` of its tokens, such as `https://token.actions.githubusercontent.com` and `repo:contoso/flights:environment:production`."

  validation {
    condition     = alltrue([for one in var.federated : startswith(one.issuer, "https://")])
    error_message = "the issuer of each of federated is an https address."
  }

  validation {
    condition     = alltrue([for one in var.federated : one.subject != "" && !can(regex("[*?]", one.subject))])
    error_message = "the subject of each of federated is one subject, whole: Entra compares it letter by letter, and * stands for nothing."
  }

  validation {
    condition     = alltrue([for one in var.federated : contains(["train", "serve", "deploy", "events"], one.job)])
    error_message = "the job of each of federated is train, serve, deploy or events."
  }

  validation {
    condition     = alltrue([for name, _ in var.federated : can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{2,119}$", name))])
    error_message = "the names in federated have 3 to 120 letters, digits, hyphens and underscores."
  }
}

variable "people" {
  type = map(object({
    object_id = string
    role      = string
    type      = optional(string, "Group")
  }))
  nullable    = false
  default     = {}
  description = "Who has which of the library's roles (`reader`, `trainer`, `deployer`, `approver`), by a name: object id in Entra, and whether it is a `Group`, a `User` or a `ServicePrincipal`. The library's `access.grant` gives the same ones."

  validation {
    condition     = alltrue([for one in var.people : contains(["reader", "trainer", "deployer", "approver"], one.role)])
    error_message = "the role of each of people is reader, trainer, deployer or approver."
  }

  validation {
    condition     = alltrue([for one in var.people : contains(["Group", "User", "ServicePrincipal"], one.type)])
    error_message = "the type of each of people is Group, User or ServicePrincipal."
  }

  validation {
    condition     = alltrue([for one in var.people : can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", one.object_id))])
    error_message = "the object_id of each of people is an object id of Entra, a UUID."
  }
}

variable "registry" {
  type        = object({ id = string })
  default     = null
  description = "Container registry that images of steps and servers come from, by its id. Null: they come from elsewhere."
}

variable "tags" {
  type        = map(string)
  nullable    = false
  default     = {}
  description = "Tags of the identities."

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for name, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,512}$", name)) && length(value) <= 256])
    error_message = "tags are up to 50, with names of up to 512 characters, none of them one of <>%&\\?/, and values of up to 256."
  }
}

variable "topic" {
  type        = object({ id = string })
  default     = null
  description = "Event Grid namespace topic of the library's own events, by its id: the module `model-events`. Null: there is none."
}
