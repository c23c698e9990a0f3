"""Vertex AI: v1 and v1beta1, over gRPC and REST, from one table of handlers."""
