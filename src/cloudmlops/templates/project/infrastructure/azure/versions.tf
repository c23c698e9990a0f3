terraform {
  required_version = ">= 1.9"

  backend "azurerm" {} # terraform init -backend-config=…: a container that is not made here

  required_providers {
    azapi = {
      source  = "Azure/azapi"
      version = ">= 2.13, < 3"
    }
    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 3.7, < 4"
    }
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.0.1, < 6"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.13.1, < 1"
    }
  }
}
