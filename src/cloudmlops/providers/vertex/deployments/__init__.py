"""What Vertex AI does not keep of an endpoint: acts of deploying, also those that failed, and earlier splits."""
