# The least that runs: no online store, which alone is paid for by the hour, and everything may be taken away again. The first
# features.apply() would make a store all the same, of 1 to 3 nodes: about 686 US dollars a month a node.

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
