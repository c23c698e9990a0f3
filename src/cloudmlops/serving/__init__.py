"""The scoring server: one process for local endpoints, Vertex AI custom containers and Azure ML online deployments."""
