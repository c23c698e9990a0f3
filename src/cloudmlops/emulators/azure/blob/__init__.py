"""Azure Blob Storage: what answers at *.blob.core.windows.net."""
