-- name: move_positions
-- Move the Kafka positions of partitions that were read before.
UPDATE positions SET
    next_offset = m.next_offset,
    topic_id = coalesce(m.topic_id, positions.topic_id),
    last_timestamp = coalesce(m.last_timestamp, positions.last_timestamp),
    moved_at = $now
FROM incoming_moves m
WHERE positions.topic = m.topic AND positions.kafka_partition = m.kafka_partition;

-- name: begin_positions
-- Store the Kafka positions of partitions that were never read before.
INSERT INTO positions
SELECT topic, kafka_partition, next_offset, topic_id, last_timestamp, $now FROM incoming_moves WHERE began IS NULL;

-- name: remember_purges
-- Rows of newly deleted matters stay in the file's bytes until it is rewritten. The other statements of a purge read
-- the matters from this table: DuckDB searches the views faster with a table than with a list.
INSERT INTO removals SELECT matter_id, $now, $arrival FROM incoming_purges;

-- name: bury_views
-- Bury the views of newly deleted matters, each with its row's partition.
INSERT INTO tombstones
SELECT $topic, kafka_partition, encode(event_id::VARCHAR), matter_id, $now, $arrival FROM activity
WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival);

-- name: record_purges
-- One row for each newly deleted matter, from its first deletion. Its views are those that this transaction has buried.
-- The site no longer gives out the files that it keeps for downloads, so the stage of extracts is done at the same
-- time.
INSERT INTO purges BY NAME
SELECT d.matter_id, event_id, deleted_at, kafka_partition, kafka_offset, $now AS purged_at,
    coalesce(views, 0) AS views_purged, 0 AS views_refused, 0 AS dead_letters_purged, $arrival AS arrival,
    0 AS out_of_reach, $now AS extracts_erased_at
FROM incoming_deletions d
LEFT JOIN (
    SELECT matter_id, count(*) AS views FROM tombstones WHERE arrival = $arrival GROUP BY matter_id
) v ON v.matter_id = d.matter_id
WHERE d.matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival)
QUALIFY row_number() OVER (PARTITION BY d.matter_id ORDER BY kafka_partition, kafka_offset) = 1;

-- name: settled_conflicts
-- Dead letters that were in conflict with a view of a newly deleted matter: it had their event ID, the record's key.
SELECT topic, kafka_partition, kafka_offset FROM dead_letters
WHERE error_kind = 'conflict' AND matter_id NOT IN (SELECT matter_id FROM purges)
    AND key IN (SELECT key FROM tombstones WHERE arrival = $arrival);

-- name: delete_views
-- Remove the views of newly deleted matters. Searching again is faster than finding them by row ID.
DELETE FROM activity WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival);

-- name: delete_some_views
-- Remove a limited number of views of newly deleted matters: one DELETE of millions of rows can abort the process.
DELETE FROM activity WHERE rowid IN (
    SELECT rowid FROM activity WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival) LIMIT $rows
);

-- name: bury_dead_letters
-- Bury the dead letters that are known to belong to newly deleted matters.
INSERT INTO tombstones
SELECT topic, kafka_partition, key, matter_id, $now, $arrival FROM dead_letters
WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival) AND key IS NOT NULL;

-- name: bury_records
-- Bury records of this batch, once for each key.
INSERT INTO tombstones
SELECT DISTINCT topic, kafka_partition, key, matter_id, $now, $arrival FROM incoming_buried WHERE key IS NOT NULL;

-- name: count_refused_views
-- Count refused views. They are never stored and must be removed from the topic too.
UPDATE purges SET views_refused = views_refused + r.views, topic_tombstoned_at = NULL, topic_erased_at = NULL
FROM incoming_refused r
WHERE purges.matter_id = r.matter_id;

-- name: id_ranges
-- One range for event IDs that contain their time, which lie close together, and one for all others. Also how many IDs
-- occur more than once in the batch: equal IDs are always in the same range.
SELECT min(event_id), max(event_id), count(*) - count(DISTINCT event_id)
FROM incoming_views GROUP BY uuid_extract_version(event_id) IN (7, 8);

-- name: known_ids
-- Views of the batch whose event ID is in the table. The range misses nothing, because an equal ID lies in it. It lets
-- DuckDB skip nearly all of the table. The CASE keeps DuckDB from pushing a filter on a UUID into the Arrow table,
-- which does not support it.
SELECT i.ordinal
FROM (SELECT ordinal, CASE WHEN ordinal >= 0 THEN event_id END AS event_id FROM incoming_views) i
JOIN activity a ON a.event_id = i.event_id
WHERE a.event_id BETWEEN $lowest AND $highest;

-- name: known_views
-- For views whose event ID is in the table: whether their content differs, and whether their partition is the row's.
SELECT i.ordinal, i.matter_id, ({incoming_content}) IS DISTINCT FROM ({stored_content}) AS differs,
    i.kafka_partition = a.kafka_partition AS same_partition
FROM (SELECT * REPLACE (CASE WHEN ordinal >= 0 THEN event_id END AS event_id) FROM incoming_known) i
JOIN activity a ON a.event_id = i.event_id
WHERE a.event_id BETWEEN $lowest AND $highest;

-- name: repeated_views
-- Views whose event ID occurs earlier in the batch: whether the content differs, and whether the partition is the same.
SELECT ordinal, matter_id, content IS DISTINCT FROM first_value(content) OVER earlier AS differs,
    kafka_partition = first_value(kafka_partition) OVER earlier AS same_partition
FROM (
    SELECT ordinal, matter_id, event_id, kafka_partition, kafka_offset, ({incoming_content}) AS content
    FROM incoming_views i
)
WINDOW earlier AS (PARTITION BY event_id ORDER BY kafka_partition, kafka_offset)
QUALIFY row_number() OVER earlier > 1;

-- name: insert_views
-- Insert the new views.
INSERT INTO activity BY NAME SELECT *, $arrival AS arrival FROM incoming_views;

-- name: dead_letters_kept
-- Whether there are any dead letters.
SELECT EXISTS (FROM dead_letters);

-- name: count_purged_dead_letters
-- Count the dead letters of each newly deleted matter.
UPDATE purges SET dead_letters_purged = d.letters
FROM (
    SELECT matter_id, count(*) AS letters FROM dead_letters
    WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival) GROUP BY matter_id
) d
WHERE purges.matter_id = d.matter_id;

-- name: purge_dead_letters
-- Remove the dead letters that are known to belong to newly deleted matters.
DELETE FROM dead_letters WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival);

-- name: remember_refused
-- Dead letters that turn out to be of deleted matters leave the table, but stay in the file until it is rewritten.
INSERT INTO removals SELECT matter_id, $now, $arrival FROM incoming_refused;

-- name: take_back_file_erasure
-- The file and its backups held more data of these matters than was known when the file was rewritten.
UPDATE purges SET file_erased_at = NULL, snapshots_erased_at = NULL
WHERE file_erased_at IS NOT NULL AND matter_id IN (SELECT matter_id FROM incoming_refused);

-- name: remember_discard
-- Discarded dead letters stay in the file until it is rewritten. Their matter is not known.
INSERT INTO removals VALUES (NULL, $now, $arrival);

-- name: keep_dead_letters
-- Store rejects as dead letters.
INSERT INTO dead_letters
SELECT topic, kafka_partition, kafka_offset, kafka_timestamp, key, headers, payload, error_kind, error_detail,
    matter_id, $now
FROM incoming_rejects;

-- name: record_gaps
-- Record offsets that expired before they were read.
INSERT INTO gaps SELECT topic, kafka_partition, first_missing, next_available, $now FROM incoming_gaps;

-- name: take_last_arrival
-- The log's ID and the number of this transaction. The row is deleted and inserted again, because a transaction that
-- updates a row in place is checkpointed only when nobody reads.
DELETE FROM log RETURNING log_id, last_arrival + 1;

-- name: put_arrival
-- Store the number of the last transaction.
INSERT INTO log VALUES ($log_id, $arrival);

-- name: unfinished_recoveries
-- Recoveries after which the deletions have not been read completely.
SELECT recovered_at FROM recoveries WHERE deletions_read_at IS NULL;

-- name: end_recoveries
-- Record that the deletions were read completely.
UPDATE recoveries SET deletions_read_at = $now WHERE deletions_read_at IS NULL;

-- name: positions
-- The Kafka position of each partition.
SELECT topic, kafka_partition, next_offset, topic_id, epoch_ms(last_timestamp) FROM positions;

-- name: deleted_matters
-- All deleted matters.
SELECT matter_id FROM purges;
