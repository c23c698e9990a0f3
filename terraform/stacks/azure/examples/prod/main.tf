# What serves: copies in other zones, machines that are not taken away, people who read and approve, and no more.
module "mlops" {
  source = "../.."

  location          = "westeurope"
  prefix            = var.prefix
  subscription      = var.subscription
  tenant            = var.tenant
  keep_deleted_days = 90
  log_gb_a_day      = 5
  registry_sku      = "Standard"
  replication       = "GZRS"
  tags              = { environment = "prod" }

  budget = {
    amount      = 2000
    start_month = var.budget_start_month
    emails      = var.budget_emails
  }

  compute = {
    machine   = "Standard_DS4_v2"
    max_nodes = 10
  }

  events = {
    kinds = ["ModelRegistered", "ModelDeployed", "RunCompleted", "RunStatusChanged", "DatasetDriftDetected"]
  }

  features = {
    redis = { sku = "Balanced_B5" }
  }

  federated = {
    github-main = {
      issuer  = "https://token.actions.githubusercontent.com"
      subject = "repo:${var.repository}:ref:refs/heads/main"
    }
    github-production = {
      issuer  = "https://token.actions.githubusercontent.com"
      subject = "repo:${var.repository}:environment:azureml-production"
    }
  }

  people = {
    approvers = { object_id = var.approvers, role = "approver" }
    team      = { object_id = var.team, role = "reader" }
  }
}
