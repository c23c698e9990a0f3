output "about" {
  description = "What the library is not told, and people and workflows are: the subscription of events that were given up, where images are pushed to, the service that is pushed to, about how many US dollars a month the online store costs though nobody asks it, each job's account, and what continuous integration names when it asks for a token."
  value       = module.cloudmlops.about
}

output "bucket" {
  description = "Setting `bucket`."
  value       = module.cloudmlops.bucket
}

output "dataset" {
  description = "Setting `dataset`."
  value       = module.cloudmlops.dataset
}

output "encryption_key" {
  description = "Setting `encryption_key`."
  value       = module.cloudmlops.encryption_key
}

output "image" {
  description = "Setting `image`: where the image of steps is to be pushed to."
  value       = module.cloudmlops.image
}

output "location" {
  description = "Setting `location`."
  value       = module.cloudmlops.location
}

output "online_store" {
  description = "Setting `online_store`."
  value       = module.cloudmlops.online_store
}

output "prefix" {
  description = "Setting `prefix`."
  value       = module.cloudmlops.prefix
}

output "project" {
  description = "Setting `project`."
  value       = module.cloudmlops.project
}

output "provider" {
  description = "Whose settings these are."
  value       = module.cloudmlops.provider
}

output "service_account" {
  description = "Setting `service_account`: that of runs. For endpoints take the account of serve."
  value       = module.cloudmlops.service_account
}

output "serving_image" {
  description = "Setting `serving_image`: where the image of the scoring server is to be pushed to."
  value       = module.cloudmlops.serving_image
}

output "subscription" {
  description = "Setting `subscription`."
  value       = module.cloudmlops.subscription
}

output "topic" {
  description = "Setting `topic`."
  value       = module.cloudmlops.topic
}
