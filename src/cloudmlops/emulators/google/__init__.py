"""Vertex AI and what it stands on, emulated."""
