"""Microsoft.Insights: how many instances deployments of online endpoints have, by rules."""
