"""Endpoints that really serve: deployed models are processes, started from an image's command and asked over HTTP."""
