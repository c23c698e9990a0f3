# A platform to try things on. What costs money day and night is left out: Redis, so that features are not served online,
# and Event Grid's namespace, so that events stay in the library's inbox. What is stored and the registry cost a little.
module "mlops" {
  source = "../.."

  location     = "westeurope"
  prefix       = var.prefix
  subscription = var.subscription
  tenant       = var.tenant
  replication  = "LRS"
  tags         = { environment = "dev" }

  budget = {
    amount      = 50
    start_month = var.budget_start_month
  }

  compute = {
    machine   = "Standard_DS3_v2"
    max_nodes = 2
    priority  = "LowPriority"
  }

  features = {}
  events   = null

  federated = {
    github-main = {
      issuer  = "https://token.actions.githubusercontent.com"
      subject = "repo:${var.repository}:ref:refs/heads/main"
    }
  }

  people = {
    team = { object_id = var.team, role = "trainer" }
  }
}
