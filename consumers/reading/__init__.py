"""Reading from Kafka: fetching records and decoding them into Arrow columns and rejects."""
