"""What a provider supplies: one small Protocol a noun."""
