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

variable "dataset" {
  description = "Id of the BigQuery dataset of features."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[A-Za-z0-9_]+$", var.dataset)) && length(var.dataset) <= 1024
    error_message = "A dataset's id has letters, digits and underscores."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to remove dataset, tables and online store."
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

variable "groups" {
  description = <<-EOT
    Feature groups that others than the library use, by name: the table that holds their rows, the columns of the entity's
    key, and the columns that are features. The library makes what features.apply() defines itself.
  EOT
  type = map(object({
    entity_keys = list(string)
    features    = set(string)
    table       = string
  }))
  nullable = false
  default  = {}

  validation {
    condition     = alltrue([for name in keys(var.groups) : can(regex("^[a-z_][a-z0-9_]{0,59}$", name))])
    error_message = "A group's name has up to 60 lower-case letters, digits and underscores, and no digit first."
  }

  validation {
    condition     = alltrue([for group in var.groups : length(group.entity_keys) > 0 && length(group.features) > 0])
    error_message = "A group has a key and features."
  }

  validation {
    condition     = alltrue(flatten([for group in var.groups : [for feature in group.features : can(regex("^[a-z_][a-z0-9_]{0,59}$", feature))]]))
    error_message = "A feature's name has up to 60 lower-case letters, digits and underscores, and no digit first."
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

variable "online_store" {
  description = "Id of the feature online store, of Bigtable type."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_]{0,59}$", var.online_store))
    error_message = "An online store's id has up to 60 lower-case letters, digits and underscores, and no digit first."
  }
}

variable "online_store_nodes" {
  description = "Nodes of the online store, at least and at most, and the load of the processors that adds one. A node is paid for from the start, whether it is asked or not."
  type = object({
    cpu_percent = optional(number, 50)
    max         = optional(number, 2)
    min         = optional(number, 1)
  })
  nullable = false
  default  = {}

  validation {
    condition     = var.online_store_nodes.min >= 1 && var.online_store_nodes.max >= var.online_store_nodes.min && var.online_store_nodes.max <= 10 * var.online_store_nodes.min
    error_message = "There is one node at least, and at most ten times as many as at least."
  }

  validation {
    condition     = var.online_store_nodes.cpu_percent >= 10 && var.online_store_nodes.cpu_percent <= 80
    error_message = "A load is from 10 to 80 per cent."
  }
}

variable "tables" {
  description = "Tables of the dataset, by id: their columns with BigQuery's types, the column that they are partitioned by, each day, and those that they are clustered by."
  type = map(object({
    clustering = optional(list(string), [])
    columns    = map(string)
    timestamp  = string
  }))
  nullable = false
  default  = {}

  validation {
    condition     = alltrue([for table in var.tables : lookup(table.columns, table.timestamp, "") == "TIMESTAMP"])
    error_message = "The column that a table is partitioned by is one of its columns, and a TIMESTAMP."
  }

  validation {
    condition     = alltrue([for table in var.tables : length(setsubtract(table.clustering, keys(table.columns))) == 0 && length(table.clustering) <= 4])
    error_message = "A table is clustered by up to four of its columns."
  }
}

variable "views" {
  description = "Feature views of the groups, by name: the group, which of its features, and when they are synced (five fields of cron, in UTC)."
  type = map(object({
    cron     = string
    features = set(string)
    group    = string
  }))
  nullable = false
  default  = {}

  validation {
    condition     = alltrue([for name in keys(var.views) : can(regex("^[a-z_][a-z0-9_]{0,59}$", name))])
    error_message = "A view's name has up to 60 lower-case letters, digits and underscores, and no digit first."
  }

  validation {
    condition     = alltrue([for view in var.views : length(regexall("\\S+", view.cron)) == 5])
    error_message = "A time of syncing has five fields."
  }

  validation {
    condition     = alltrue([for view in var.views : length(setsubtract(view.features, try(var.groups[view.group].features, []))) == 0 && length(view.features) > 0])
    error_message = "A view is of features of one of the groups."
  }
}
