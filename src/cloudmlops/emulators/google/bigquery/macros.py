"""What DuckDB lacks, as macros."""

MACROS: tuple[str, ...] = ()
