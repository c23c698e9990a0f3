"""GoogleSQL, read and rewritten for DuckDB."""
