"""Object stores: our own durable local one, and obstore for S3, Google Cloud Storage and Azure Blob."""
