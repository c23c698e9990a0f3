"""Azure Resource Manager: what answers at management.azure.com."""
