"""From Kafka's records to Arrow columns and rejects: fetched, decoded, not yet applied."""
