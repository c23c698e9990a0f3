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
