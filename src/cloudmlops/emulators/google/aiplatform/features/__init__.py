"""Feature store: the registry, online stores of Bigtable type, sync out of BigQuery, fetching, direct writes."""
