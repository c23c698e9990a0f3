"""How versions are registered, and the ledger that is the truth about their stages."""
