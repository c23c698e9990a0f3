resource "azurerm_consumption_budget_resource_group" "this" {
  name              = "budget-${var.prefix}"
  resource_group_id = var.resource_group_id
  amount            = var.amount
  time_grain        = "Monthly"

  time_period {
    start_date = "${var.start_month}-01T00:00:00Z"
  }

  dynamic "notification" {
    for_each = var.percents

    content {
      enabled        = true
      operator       = "GreaterThanOrEqualTo"
      threshold      = notification.value
      threshold_type = "Actual"
      contact_emails = sort(var.emails)
      contact_roles  = ["Owner"]
    }
  }

  notification {
    enabled        = true
    operator       = "GreaterThan"
    threshold      = 100
    threshold_type = "Forecasted"
    contact_emails = sort(var.emails)
    contact_roles  = ["Owner"]
  }
}
