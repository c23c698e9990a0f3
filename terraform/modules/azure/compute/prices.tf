locals {
  # US dollars an hour, Linux, on demand, East US: Azure's list prices of 2026, rounded, as the library has them. Prices
  # of today and of your region: https://azure.microsoft.com/pricing/details/machine-learning/
  hourly_usd = {
    standard_ds1_v2           = 0.073
    standard_ds2_v2           = 0.146
    standard_ds3_v2           = 0.293
    standard_ds4_v2           = 0.585
    standard_ds5_v2           = 1.17
    standard_ds11_v2          = 0.185
    standard_ds12_v2          = 0.37
    standard_ds13_v2          = 0.741
    standard_ds14_v2          = 1.482
    standard_d2s_v3           = 0.096
    standard_d4s_v3           = 0.192
    standard_d8s_v3           = 0.384
    standard_d16s_v3          = 0.768
    standard_d32s_v3          = 1.536
    standard_d48s_v3          = 2.304
    standard_d64s_v3          = 3.072
    standard_e2s_v3           = 0.126
    standard_e4s_v3           = 0.252
    standard_e8s_v3           = 0.504
    standard_e16s_v3          = 1.008
    standard_e32s_v3          = 2.016
    standard_e64s_v3          = 3.629
    standard_f2s_v2           = 0.085
    standard_f4s_v2           = 0.169
    standard_f8s_v2           = 0.338
    standard_f16s_v2          = 0.677
    standard_f32s_v2          = 1.353
    standard_f72s_v2          = 3.045
    standard_m128s            = 13.338
    standard_nc4as_t4_v3      = 0.526
    standard_nc8as_t4_v3      = 0.752
    standard_nc16as_t4_v3     = 1.204
    standard_nc64as_t4_v3     = 4.352
    standard_nc6s_v3          = 3.06
    standard_nc12s_v3         = 6.12
    standard_nc24s_v3         = 12.24
    standard_nd40rs_v2        = 22.032
    standard_nc24ads_a100_v4  = 3.673
    standard_nc48ads_a100_v4  = 7.346
    standard_nc96ads_a100_v4  = 14.692
    standard_nd96amsr_a100_v4 = 32.77
    standard_nd96asr_v4       = 27.197
    standard_nc40ads_h100_v5  = 6.98
    standard_nc80adis_h100_v5 = 13.96
    standard_nd96isr_h100_v5  = 98.32
  }
  hours_of_a_month   = 730
  low_priority_share = 0.2
}

locals {
  known = lookup(local.hourly_usd, lower(var.machine), null)
  # The higher one, where both are known: the library holds its own against what was agreed to.
  price = var.machine_usd == null || local.known == null ? try(coalesce(var.machine_usd, local.known), null) : max(var.machine_usd, local.known)
  share = var.priority == "LowPriority" ? local.low_priority_share : 1
  # Of one machine; null where no price is known.
  machine_cost_per_month = local.price == null ? null : local.price * local.hours_of_a_month * local.share
  idle_cost_per_month    = var.min_nodes == 0 ? 0 : try(var.min_nodes * local.machine_cost_per_month, null)
  cost_told = (
    local.machine_cost_per_month == null ? "of which this module knows no price" :
    format("each about %.0f US dollars a month", local.machine_cost_per_month)
  )
}

# Told by every plan that keeps machines, agreed to or not.
check "nothing_is_paid_for_while_nothing_runs" {
  assert {
    condition     = var.min_nodes == 0
    error_message = "${var.min_nodes} ${var.machine} are kept though nothing runs, ${local.cost_told}; ${var.idle_cost} US dollars a month were agreed to."
  }
}
