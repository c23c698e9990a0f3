terraform {
  required_version = ">= 1.9"

  backend "gcs" {} # terraform init -backend-config=bucket=BUCKET: one that is not made here

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.43, < 9"
    }
  }
}
