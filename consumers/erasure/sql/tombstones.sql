-- name: waiting
-- Buried keys, oldest first, each once.
SELECT kafka_partition, key FROM tombstones WHERE topic = $topic
GROUP BY ALL ORDER BY min(arrival) LIMIT $keys;

-- name: newest
-- The number of the newest transaction that buried a key. Keys that are buried later belong to the next round.
SELECT max(arrival) FROM tombstones;

-- name: stored_views
-- Views in the table with such a key and partition. In the topic, too, the key's last record must be that view.
SELECT a.* EXCLUDE (kafka_offset, arrival)
FROM (
    SELECT kafka_partition, TRY_CAST(TRY(decode(key)) AS UUID) AS event_id, key FROM incoming_waiting
) w
JOIN activity a ON a.event_id = w.event_id AND a.kafka_partition = w.kafka_partition
WHERE w.key = encode(w.event_id::VARCHAR);

-- name: remove
-- Remove keys that the broker has acknowledged, except those buried since.
DELETE FROM tombstones
WHERE topic = $topic AND arrival <= $newest AND EXISTS (
    SELECT 1 FROM incoming_waiting w WHERE w.kafka_partition = tombstones.kafka_partition AND w.key = tombstones.key
);

-- name: count_out_of_reach
-- Count in the receipts the records of deleted matters on the topic that is never written to.
UPDATE purges SET out_of_reach = out_of_reach + t.records
FROM (SELECT matter_id, count(*) AS records FROM tombstones WHERE topic = $topic GROUP BY matter_id) t
WHERE purges.matter_id = t.matter_id;

-- name: remove_out_of_reach
-- Remove keys of the topic that is never written to.
DELETE FROM tombstones WHERE topic = $topic;

-- name: record_tombstoned
-- Record the deleted matters that have no more waiting tombstones, and again those that a wrong clock dated ahead.
UPDATE purges SET topic_tombstoned_at = $now
WHERE (topic_tombstoned_at IS NULL AND matter_id NOT IN (
    SELECT matter_id FROM tombstones WHERE matter_id IS NOT NULL
)) OR (topic_erased_at IS NULL AND topic_tombstoned_at > $latest);

-- name: work
-- Whether there is work: tombstones to send, keys out of reach, receipts to update, files of the topic to close.
SELECT
    EXISTS (FROM tombstones WHERE topic = $topic) AS to_send,
    EXISTS (FROM tombstones WHERE topic = $deletions_topic) AS out_of_reach,
    EXISTS (
        FROM purges WHERE topic_tombstoned_at IS NULL OR (topic_erased_at IS NULL AND topic_tombstoned_at > $latest)
    ) AS to_record,
    EXISTS (FROM purges WHERE topic_erased_at IS NULL AND topic_tombstoned_at <= $closable) AS to_close;

-- name: close
-- Record the deleted matters whose tombstones are in files of the topic that the broker has closed.
UPDATE purges SET topic_erased_at = $now WHERE topic_erased_at IS NULL AND topic_tombstoned_at <= $closable;
