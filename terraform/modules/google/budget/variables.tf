variable "amount" {
  description = "What the project may cost a month, in whole units of the currency."
  type        = number
  nullable    = false

  validation {
    condition     = var.amount >= 1 && floor(var.amount) == var.amount
    error_message = "An amount is a whole number."
  }
}

variable "billing_account" {
  description = "Id of the billing account that the project is paid from, such as 012345-6789AB-CDEF01."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "A billing account's id is three times six digits or letters up to F."
  }
}

variable "project_number" {
  description = "Number of the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+$", var.project_number))
    error_message = "A number has digits only."
  }
}

variable "channels" {
  description = "Full names of notification channels that are told, beside those who administer the billing account."
  type        = list(string)
  nullable    = false
  default     = []

  validation {
    condition     = length(var.channels) <= 5
    error_message = "A budget tells five channels at most."
  }
}

variable "currency" {
  description = "Currency of the billing account, such as EUR."
  type        = string
  nullable    = false
  default     = "USD"

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.currency))
    error_message = "A currency is three capital letters."
  }
}

variable "name" {
  description = "What the budget is called."
  type        = string
  nullable    = false
  default     = "cloudmlops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "percents" {
  description = "Shares of the amount at which is told: what was spent. That the month will come to more than the amount is told in any case."
  type        = set(number)
  nullable    = false
  default     = [50, 80, 100]

  validation {
    condition     = length(var.percents) > 0 && alltrue([for percent in var.percents : percent > 0 && percent <= 1000])
    error_message = "A share is above 0 per cent, and one is given at least."
  }
}
