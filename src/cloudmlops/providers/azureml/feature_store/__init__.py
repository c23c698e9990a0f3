"""The feature store of Azure ML: history on Blob storage, rows online in Redis."""
