variable "bucket" {
  description = "Name of the bucket, unique among all of Google's."
  type        = string
  nullable    = false
}

variable "location" {
  description = "Region of everything, such as europe-west4."
  type        = string
  nullable    = false
}

variable "project" {
  description = "Id of the project; it is there, and paid from a billing account."
  type        = string
  nullable    = false
}

variable "budget" {
  description = "What the project may cost a month, and the billing account that it is paid from. Null tells of no costs."
  type = object({
    amount          = number
    billing_account = string
    currency        = optional(string, "USD")
  })
  default = null
}

variable "ci" {
  description = "Whose continuous integration acts as the job deploy: host (azure, github or gitlab); of github and gitlab the repository (ORGANISATION/NAME) and the ref whose runs may; of azure issuer and subject, as the service connection shows them. Null is nobody."
  type = object({
    host       = string
    issuer     = optional(string)
    ref        = optional(string)
    repository = optional(string)
    subject    = optional(string)
  })
  default = null
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to remove what holds data."
  type        = bool
  nullable    = false
  default     = true
}

variable "emails" {
  description = "E-mail addresses that are told when something fails, or costs more."
  type        = set(string)
  nullable    = false
  default     = []
}

variable "encryption_key" {
  description = "Full name of a Cloud KMS key in the same region; null is Google's own encryption."
  type        = string
  default     = null
}

variable "extra_roles" {
  description = "Further roles of the jobs deploy, events, serve and train in the project."
  type        = map(set(string))
  nullable    = false
  default     = {}
}

variable "labels" {
  description = "Labels of what is made."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "name" {
  description = "First part of the names of what is made; another one for each environment of a project."
  type        = string
  nullable    = false
  default     = "cloudmlops"
}

variable "online_store_nodes" {
  description = "Nodes of the online store, at least and at most: `{}` makes one node, which costs money day and night; `about` tells how much. Null makes no store, which the first features.apply() would make."
  type = object({
    max = optional(number, 2)
    min = optional(number, 1)
  })
  default = null
}

variable "receiver_image" {
  description = "Image that runs `cloudmlops events serve`, which audit events are pushed to. Null makes no service: a worker pulls."
  type        = string
  default     = null
}

variable "retention_days" {
  description = "Days that what was overwritten or removed in the bucket is kept."
  type        = number
  nullable    = false
  default     = 30
}

variable "source_datasets" {
  description = "Further BigQuery datasets of the project that features may be read from."
  type        = set(string)
  nullable    = false
  default     = []
}
