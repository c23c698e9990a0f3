mock_provider "google" {}

variables {
  amount          = 200
  billing_account = "012345-6789AB-CDEF01"
  project_number  = "12345"
}

run "what_one_project_costs_a_month_is_told" {
  command = plan

  assert {
    condition     = google_billing_budget.this.amount[0].specified_amount[0].units == "200" && google_billing_budget.this.budget_filter[0].projects == toset(["projects/12345"]) && google_billing_budget.this.budget_filter[0].calendar_period == "MONTH"
    error_message = "Something else is counted."
  }

  assert {
    condition     = [for rule in google_billing_budget.this.threshold_rules : "${rule.threshold_percent} ${rule.spend_basis}"] == ["0.5 CURRENT_SPEND", "0.8 CURRENT_SPEND", "1 CURRENT_SPEND", "1 FORECASTED_SPEND"]
    error_message = "It is told at other shares."
  }

  assert {
    condition     = length(google_billing_budget.this.all_updates_rule) == 0
    error_message = "Channels are told that nobody named."
  }
}

run "channels_are_told_beside_administrators" {
  command = plan

  variables {
    channels = ["projects/my-project/notificationChannels/1"]
  }

  assert {
    condition     = google_billing_budget.this.all_updates_rule[0].disable_default_iam_recipients == false
    error_message = "Administrators are told no more."
  }
}

run "its_name_is_put_out" {
  command = apply

  assert {
    condition     = output.budget == google_billing_budget.this.name
    error_message = "Another name is put out."
  }
}

run "an_amount_is_whole" {
  command = plan

  variables {
    amount = 0.5
  }

  expect_failures = [var.amount]
}

run "a_billing_account_has_an_id" {
  command = plan

  variables {
    billing_account = "mine"
  }

  expect_failures = [var.billing_account]
}

run "a_project_is_a_number" {
  command = plan

  variables {
    project_number = "my-project"
  }

  expect_failures = [var.project_number]
}

run "five_channels_are_told_at_most" {
  command = plan

  variables {
    channels = ["1", "2", "3", "4", "5", "6"]
  }

  expect_failures = [var.channels]
}

run "a_currency_is_a_code" {
  command = plan

  variables {
    currency = "euro"
  }

  expect_failures = [var.currency]
}

run "it_is_told_at_some_share" {
  command = plan

  variables {
    percents = []
  }

  expect_failures = [var.percents]
}

run "a_name_is_short_and_plain" {
  command = plan

  variables {
    name = "My-Name"
  }

  expect_failures = [var.name]
}
