"""Pub/Sub over REST: topics, subscriptions to pull from or that are pushed."""
