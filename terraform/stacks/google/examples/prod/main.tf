# Everything, protected: one store online, a budget, somebody who is told, and deployments from one branch alone.

provider "google" {
  project = var.project
  region  = var.location
}

module "cloudmlops" {
  source = "../.."

  project  = var.project
  location = var.location
  bucket   = var.bucket
  name     = "prod"

  budget = var.budget
  ci     = var.ci
  emails = var.emails

  online_store_nodes = { min = 1, max = 3 }
}
