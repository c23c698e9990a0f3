output "channels" {
  description = "Full names of the channels that are told, such as a budget takes."
  value       = local.channels
}
