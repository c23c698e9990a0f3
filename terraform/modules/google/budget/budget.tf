# It tells and stops nothing: whoever is told has to look.
resource "google_billing_budget" "this" {
  billing_account = var.billing_account
  display_name    = var.name

  amount {
    specified_amount {
      currency_code = var.currency
      units         = tostring(var.amount)
    }
  }

  budget_filter {
    projects               = ["projects/${var.project_number}"]
    calendar_period        = "MONTH"
    credit_types_treatment = "INCLUDE_ALL_CREDITS"
  }

  dynamic "threshold_rules" {
    for_each = sort(formatlist("%04d", [for percent in var.percents : percent]))

    content {
      threshold_percent = tonumber(threshold_rules.value) / 100
      spend_basis       = "CURRENT_SPEND"
    }
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  dynamic "all_updates_rule" {
    for_each = length(var.channels) == 0 ? [] : [var.channels]

    content {
      monitoring_notification_channels = all_updates_rule.value
      disable_default_iam_recipients   = false
    }
  }
}
