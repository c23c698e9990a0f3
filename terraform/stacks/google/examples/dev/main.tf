# The least that runs: no online store, which alone is paid for by the hour, and everything may be taken away again.

provider "google" {
  project = var.project
  region  = var.location
}

module "cloudmlops" {
  source = "../.."

  project  = var.project
  location = var.location
  bucket   = var.bucket
  name     = "dev"

  online_store_nodes  = null
  deletion_protection = false
  retention_days      = 7
}
