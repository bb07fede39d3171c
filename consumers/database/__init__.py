"""The DuckDB file and its single writer, which applies each batch in one transaction."""
