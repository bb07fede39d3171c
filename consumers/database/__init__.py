"""The DuckDB file and its single writer: opening it, and one batch in one transaction."""
