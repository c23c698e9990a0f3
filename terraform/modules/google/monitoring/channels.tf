resource "google_monitoring_notification_channel" "email" {
  for_each = var.emails

  project      = var.project
  display_name = "${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
  force_delete = false
}

locals {
  channels = [for channel in google_monitoring_notification_channel.email : channel.name]
}
