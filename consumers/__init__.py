"""Kafka -> DuckDB: read the topics, and keep the database what they say."""
