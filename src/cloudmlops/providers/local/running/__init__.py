"""How runs are executed on this machine: processes, their leases, and what is recorded of them."""
