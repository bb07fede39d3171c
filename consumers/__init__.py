"""The consumer: reads the topics from Kafka into the DuckDB database."""
