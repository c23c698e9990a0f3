"""Functions that a database gets when a statement first uses them: macros of DuckDB, and Python's where it has none."""
