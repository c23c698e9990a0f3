"""Shipped test kit: the contract suite of each noun, rigs, and the pytest plugin."""
