"""The topic of an Event Grid namespace: what is published there, and what is pulled from it."""
