"""BigQuery's REST service on DuckDB: GoogleSQL is parsed, checked against what is known, and rewritten."""
