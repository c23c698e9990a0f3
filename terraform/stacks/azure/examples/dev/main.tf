# A platform to try things on: everything that costs nothing while nothing runs, and the smallest Redis. Take Redis out,
# and what is left at rest is storage, the registry and Event Grid's namespace.
module "mlops" {
  source = "../.."

  location     = "westeurope"
  prefix       = var.prefix
  subscription = var.subscription
  tenant       = var.tenant
  replication  = "LRS"
  tags         = { environment = "dev" }

  budget = {
    amount      = 150
    start_month = var.budget_start_month
  }

  compute = {
    machine   = "Standard_DS3_v2"
    max_nodes = 2
    priority  = "LowPriority"
  }

  features = {
    redis = { high_availability = false }
  }

  federated = {
    github = {
      issuer  = "https://token.actions.githubusercontent.com"
      subject = "repo:${var.repository}:environment:dev"
    }
  }

  people = {
    team = { object_id = var.team, role = "trainer" }
  }
}
