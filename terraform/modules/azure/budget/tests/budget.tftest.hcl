mock_provider "azurerm" {}

variables {
  amount            = 150
  prefix            = "acme"
  resource_group_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-acme"
  start_month       = "2026-12"
}

run "a_month_is_watched_from_its_first_day_on" {
  command = plan

  assert {
    condition = (
      azurerm_consumption_budget_resource_group.this.name == "budget-acme" &&
      azurerm_consumption_budget_resource_group.this.amount == 150 &&
      azurerm_consumption_budget_resource_group.this.time_grain == "Monthly" &&
      azurerm_consumption_budget_resource_group.this.time_period[0].start_date == "2026-12-01T00:00:00Z"
    )
    error_message = "something else is watched"
  }
}

run "half_most_and_all_of_it_are_told_and_that_more_is_expected" {
  command = plan

  variables {
    emails = ["mlops@acme.com"]
  }

  assert {
    condition = toset([for one in azurerm_consumption_budget_resource_group.this.notification : "${one.threshold_type} ${one.threshold}"]) == toset([
      "Actual 50", "Actual 80", "Actual 100", "Forecasted 100",
    ])
    error_message = "something else is told"
  }

  assert {
    condition = alltrue([
      for one in azurerm_consumption_budget_resource_group.this.notification :
      one.enabled && one.contact_emails == tolist(["mlops@acme.com"]) && one.contact_roles == tolist(["Owner"])
    ])
    error_message = "nobody is told"
  }
}

run "what_azure_would_refuse_is_refused_before_it_is_asked" {
  command = plan

  variables {
    amount      = 0
    emails      = ["mlops"]
    percents    = [10, 20, 30, 40, 50]
    start_month = "2026-13"
  }

  expect_failures = [var.amount, var.emails, var.percents, var.start_month]
}

run "a_prefix_is_short_and_plain" {
  command = plan

  variables {
    prefix = "Acme!"
  }

  expect_failures = [var.prefix]
}
