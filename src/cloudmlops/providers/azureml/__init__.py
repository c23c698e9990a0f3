"""Azure Machine Learning, with Blob storage for ledger, inbox and artifacts."""
