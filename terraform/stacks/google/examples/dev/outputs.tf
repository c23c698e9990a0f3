output "bucket" {
  description = "Setting: the bucket of ledger, inbox, artifacts and snapshots."
  value       = module.cloudmlops.bucket
}

output "dataset" {
  description = "Setting: the BigQuery dataset of features."
  value       = module.cloudmlops.dataset
}

output "encryption_key" {
  description = "Setting: the key that what is made is encrypted with; empty is Google's own encryption."
  value       = module.cloudmlops.encryption_key
}

output "image" {
  description = "Setting: where the image of steps is to be pushed to."
  value       = module.cloudmlops.image
}

output "location" {
  description = "Setting: the region."
  value       = module.cloudmlops.location
}

output "online_store" {
  description = "Setting: the feature online store."
  value       = module.cloudmlops.online_store
}

output "prefix" {
  description = "Setting: the folder in the bucket."
  value       = module.cloudmlops.prefix
}

output "project" {
  description = "Setting: the project."
  value       = module.cloudmlops.project
}

output "service_account" {
  description = "Setting: the account that runs act as. For endpoints take that of serve, from service_accounts."
  value       = module.cloudmlops.service_account
}

output "serving_image" {
  description = "Setting: where the image of the scoring server is to be pushed to."
  value       = module.cloudmlops.serving_image
}

output "subscription" {
  description = "Setting: what a worker pulls events from."
  value       = module.cloudmlops.subscription
}

output "topic" {
  description = "Setting: what the library's events are published to."
  value       = module.cloudmlops.topic
}

output "dead_letters" {
  description = "Subscription of events that were given up."
  value       = module.cloudmlops.dead_letters
}

output "images" {
  description = "Address that images are pushed to, without a name."
  value       = module.cloudmlops.images
}

output "provider" {
  description = "Name of the library's provider that the settings are of."
  value       = module.cloudmlops.provider
}

output "receiver" {
  description = "Service that audit events are pushed to; null without one."
  value       = module.cloudmlops.receiver
}

output "service_accounts" {
  description = "E-mail address of each job's account: deploy, events, serve, train."
  value       = module.cloudmlops.service_accounts
}

output "workload_identity_provider" {
  description = "What continuous integration names when it asks for a token; null without one."
  value       = module.cloudmlops.workload_identity_provider
}
