"""How features are kept and read at Google: statements for BigQuery, tables, the online store's resources and rows."""
