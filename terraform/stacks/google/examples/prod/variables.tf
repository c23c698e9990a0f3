variable "bucket" {
  description = "Name of the bucket, unique among all of Google's."
  type        = string
}

variable "location" {
  description = "Region of everything, such as europe-west4."
  type        = string
}

variable "project" {
  description = "Id of the project."
  type        = string
}

variable "budget" {
  description = "What the project may cost a month, and the billing account that it is paid from."
  type = object({
    amount          = number
    billing_account = string
    currency        = optional(string, "USD")
  })
}

variable "ci" {
  description = "Whose continuous integration deploys: host, repository and ref, of Azure Pipelines host, issuer and subject."
  type = object({
    host       = string
    issuer     = optional(string)
    ref        = optional(string)
    repository = optional(string)
    subject    = optional(string)
  })
}

variable "emails" {
  description = "E-mail addresses that are told."
  type        = set(string)
}
