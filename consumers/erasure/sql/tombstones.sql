-- name: waiting
-- Keys that the topic is to be rid of, the oldest first, each once.
SELECT kafka_partition, key FROM tombstones WHERE topic = $topic
GROUP BY ALL ORDER BY min(arrival) LIMIT $keys;

-- name: newest
-- The number of the newest transaction that buried something: what comes later is none of this round's business.
SELECT max(arrival) FROM tombstones;

-- name: alive
-- The views that the table holds under such a key and partition: in the topic, too, they must be what the key says last.
SELECT a.* EXCLUDE (kafka_offset, arrival)
FROM (
    SELECT kafka_partition, TRY_CAST(TRY(decode(key)) AS UUID) AS event_id, key FROM incoming_waiting
) w
JOIN activity a ON a.event_id = w.event_id AND a.kafka_partition = w.kafka_partition
WHERE w.key = encode(w.event_id::VARCHAR);

-- name: remove
-- Keys that the broker has acknowledged, but for what was buried since.
DELETE FROM tombstones
WHERE topic = $topic AND arrival <= $newest AND EXISTS (
    SELECT 1 FROM incoming_waiting w WHERE w.kafka_partition = tombstones.kafka_partition AND w.key = tombstones.key
);

-- name: count_out_of_reach
-- Records of deleted matters on a topic that is never written to, counted into the matters' receipts.
UPDATE purges SET out_of_reach = out_of_reach + t.records
FROM (SELECT matter_id, count(*) AS records FROM tombstones WHERE topic = $topic GROUP BY matter_id) t
WHERE purges.matter_id = t.matter_id;

-- name: give_up
-- Records on a topic that is never written to.
DELETE FROM tombstones WHERE topic = $topic;

-- name: settle
-- Deleted matters none of whose tombstones wait any more; and those that a wrong clock settled, ahead of now.
UPDATE purges SET topic_tombstoned_at = $now
WHERE (topic_tombstoned_at IS NULL AND matter_id NOT IN (
    SELECT matter_id FROM tombstones WHERE matter_id IS NOT NULL
)) OR (topic_erased_at IS NULL AND topic_tombstoned_at > $latest);

-- name: work
-- Whether anything is to be done: tombstones to send, receipts to settle, files of the topic to have closed.
SELECT
    EXISTS (FROM tombstones WHERE topic = $topic),
    EXISTS (FROM tombstones WHERE topic = $never),
    EXISTS (FROM purges WHERE topic_tombstoned_at IS NULL OR (topic_erased_at IS NULL AND topic_tombstoned_at > $latest)),
    EXISTS (FROM purges WHERE topic_erased_at IS NULL AND topic_tombstoned_at <= $closable);

-- name: close
-- Deleted matters whose tombstones lie in files of the topic that the broker has closed.
UPDATE purges SET topic_erased_at = $now WHERE topic_erased_at IS NULL AND topic_tombstoned_at <= $closable;
