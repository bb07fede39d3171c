-- name: kept
-- The dead letters without their content, lowest address first, and how many bytes each one's content has.
SELECT topic, kafka_partition, kafka_offset, key, error_kind, error_detail, matter_id,
    strftime(kept_at, '%Y-%m-%dT%H:%M:%S.%fZ'),
    octet_length(payload) + coalesce(octet_length(key), 0)
        + list_sum([0] || list_transform(headers, lambda header: coalesce(octet_length(header.value), 0)))
FROM dead_letters
ORDER BY topic, kafka_partition, kafka_offset;

-- name: list
-- The dead letters at some addresses, lowest first.
SELECT topic, kafka_partition, kafka_offset, epoch_ms(kafka_timestamp), key, headers, payload, error_kind,
    error_detail, matter_id, strftime(kept_at, '%Y-%m-%dT%H:%M:%S.%fZ')
FROM dead_letters
SEMI JOIN incoming_addresses USING (topic, kafka_partition, kafka_offset)
ORDER BY topic, kafka_partition, kafka_offset;

-- name: remove
-- Remove dead letters that are retried or discarded.
DELETE FROM dead_letters
WHERE EXISTS (
    SELECT 1 FROM incoming_addresses a
    WHERE a.topic = dead_letters.topic AND a.kafka_partition = dead_letters.kafka_partition
        AND a.kafka_offset = dead_letters.kafka_offset
);
