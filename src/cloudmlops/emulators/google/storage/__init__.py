"""Google Cloud Storage, JSON and XML."""
