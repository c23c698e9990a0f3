variable "amount" {
  type        = number
  nullable    = false
  description = "What the resource group may cost in a month, in the currency of the subscription's bill. A budget tells; it stops nothing."

  validation {
    condition     = var.amount > 0
    error_message = "amount is above 0."
  }
}

variable "prefix" {
  type        = string
  nullable    = false
  description = "Ends the name of the budget."

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){2,15}$", var.prefix))
    error_message = "prefix has 3 to 16 small letters, digits and single hyphens, begins with a letter and ends with none of the hyphens."
  }
}

variable "resource_group_id" {
  type        = string
  nullable    = false
  description = "Resource id of the resource group that is watched."
}

variable "start_month" {
  type        = string
  nullable    = false
  description = "First month that is watched, such as `2026-12`: this one or a later one."

  validation {
    condition     = can(regex("^20[0-9]{2}-(0[1-9]|1[0-2])$", var.start_month))
    error_message = "start_month is a year and a month, such as 2026-12."
  }
}

variable "emails" {
  type        = set(string)
  nullable    = false
  default     = []
  description = "Who is told by mail, beside the owners of the resource group."

  validation {
    condition     = alltrue([for one in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", one))])
    error_message = "emails are addresses such as mlops@example.com."
  }
}

variable "percents" {
  type        = set(number)
  nullable    = false
  default     = [50, 80, 100]
  description = "Percents of the amount at which somebody is told, once they were spent. That the month will end above all of it is told as soon as Azure expects it."

  validation {
    condition     = length(var.percents) >= 1 && length(var.percents) <= 4 && alltrue([for one in var.percents : one > 0 && one <= 1000])
    error_message = "percents are one to four numbers above 0, up to 1000."
  }
}
