"""What holds for every provider, a module a noun."""
