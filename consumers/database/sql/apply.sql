-- name: move_positions
-- Where reading goes on, for partitions that were read before. What tells the last record from another one moves together.
UPDATE positions SET
    next_offset = m.next_offset,
    topic_id = coalesce(m.topic_id, positions.topic_id),
    last_timestamp = if(m.last_offset IS NULL, positions.last_timestamp, m.last_timestamp),
    leader_epoch = if(m.last_offset IS NULL, positions.leader_epoch, m.leader_epoch),
    last_offset = coalesce(m.last_offset, positions.last_offset),
    moved_at = $now
FROM incoming_moves m
WHERE (positions.topic, positions.kafka_partition) = (m.topic, m.kafka_partition);

-- name: begin_positions
-- Where reading goes on, for partitions that were never read before.
INSERT INTO positions BY NAME
SELECT topic, kafka_partition, next_offset, topic_id, last_timestamp, $now AS moved_at, last_offset, leader_epoch
FROM incoming_moves WHERE began IS NULL;

-- name: end_rereads
-- Partitions that were read again as far as they reached when that began.
DELETE FROM cuts WHERE EXISTS (
    SELECT 1 FROM positions p
    WHERE p.topic = cuts.topic AND p.kafka_partition = cuts.kafka_partition AND p.next_offset >= cuts.reread_until
);

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
WHERE error_kind = 'conflict' AND key IN (SELECT key FROM tombstones WHERE arrival = $arrival);

-- name: delete_views
-- Remove the views of newly deleted matters. Searching again is faster than finding them by row ID.
DELETE FROM activity WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival);

-- name: delete_some_views
-- Remove a limited number of views of newly deleted matters: one DELETE of millions of rows can abort the process.
DELETE FROM activity WHERE rowid IN (
    SELECT rowid FROM activity WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival) LIMIT $rows
);

-- name: forget_database_only
-- Views and dead letters of newly deleted matters that the topics do not have.
DELETE FROM database_only WHERE event_id IN (
    SELECT event_id FROM activity WHERE matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival)
) OR event_id IS NULL AND EXISTS (
    SELECT 1 FROM dead_letters d
    WHERE d.topic = database_only.topic AND d.kafka_partition = database_only.kafka_partition
        AND d.kafka_offset = database_only.kafka_offset
        AND d.matter_id IN (SELECT matter_id FROM removals WHERE arrival = $arrival)
);

-- name: forget_discarded
-- Discarded dead letters that the topics do not have.
DELETE FROM database_only WHERE event_id IS NULL AND EXISTS (
    SELECT 1 FROM incoming_discarded d
    WHERE d.topic = database_only.topic AND d.kafka_partition = database_only.kafka_partition
        AND d.kafka_offset = database_only.kafka_offset
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
SELECT i.ordinal, ({incoming_content}) IS DISTINCT FROM ({stored_content}) AS differs,
    i.kafka_partition = a.kafka_partition AS same_partition
FROM (SELECT * REPLACE (CASE WHEN ordinal >= 0 THEN event_id END AS event_id) FROM incoming_known) i
JOIN activity a ON a.event_id = i.event_id
WHERE a.event_id BETWEEN $lowest AND $highest;

-- name: repeated_views
-- Views whose event ID occurs earlier in the batch: whether the content differs, and whether the partition is the same.
SELECT ordinal, content IS DISTINCT FROM first_value(content) OVER earlier AS differs,
    kafka_partition = first_value(kafka_partition) OVER earlier AS same_partition
FROM (
    SELECT ordinal, event_id, kafka_partition, kafka_offset, ({incoming_content}) AS content
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

-- name: record_file_erased
-- Record that neither the file nor a backup holds bytes of these matters any more.
UPDATE purges SET file_erased_at = $now, snapshots_erased_at = $now
WHERE file_erased_at IS NULL
    AND matter_id IN (SELECT matter_id FROM removals WHERE arrival <= $arrival)
    AND matter_id NOT IN (SELECT matter_id FROM removals WHERE arrival > $arrival AND matter_id IS NOT NULL);

-- name: forget_removals
-- Forget the removals that the rewritten file no longer holds.
DELETE FROM removals WHERE arrival <= $arrival;

-- name: addresses_are_kept
-- Whether a dead letter stands where one of the rejects does. Reading no content: DuckDB reads that of 2,048 at once.
SELECT EXISTS (FROM dead_letters SEMI JOIN incoming_rejects USING (topic, kafka_partition, kafka_offset));

-- name: kept_already
-- The rejects that are kept already.
SELECT DISTINCT r.ordinal
FROM incoming_rejects r
JOIN dead_letters d ON d.topic = r.topic AND d.kafka_partition = r.kafka_partition AND d.kafka_offset = r.kafka_offset
    AND d.payload = r.payload AND d.key IS NOT DISTINCT FROM r.key;

-- name: keep_dead_letters
-- Rejects, whole, but for those that are kept already.
INSERT INTO dead_letters
SELECT topic, kafka_partition, kafka_offset, kafka_timestamp, key, headers, payload, error_kind, error_detail,
    matter_id, $now
FROM incoming_rejects WHERE NOT list_contains($kept::BIGINT[], ordinal);

-- name: record_gaps
-- Record offsets that expired before they were read.
INSERT INTO gaps SELECT topic, kafka_partition, first_missing, next_available, $now FROM incoming_gaps;

-- name: database_only_kept
-- Whether the log holds anything of which it is not known that the topics have it.
SELECT EXISTS (FROM database_only);

-- name: views_are_there
-- Views of the batch that the log holds: their topic has them, in their row's partition.
DELETE FROM database_only WHERE EXISTS (
    SELECT 1 FROM (
        SELECT kafka_partition, CASE WHEN ordinal >= 0 THEN event_id END AS event_id FROM incoming_there
    ) i
    WHERE i.event_id = database_only.event_id AND i.kafka_partition = database_only.kafka_partition
);

-- name: deletions_are_there
-- Deletions of the batch: their topic has one of the matter.
DELETE FROM database_only WHERE event_id IN (
    SELECT p.event_id FROM purges p JOIN incoming_deletions d ON p.matter_id = d.matter_id
);

-- name: dead_letters_are_there
-- Rejects of the batch that are kept already: their topic has them.
DELETE FROM database_only WHERE event_id IS NULL AND EXISTS (
    SELECT 1 FROM incoming_rejects r
    WHERE list_contains($kept::BIGINT[], r.ordinal)
        AND r.topic = database_only.topic AND r.kafka_partition = database_only.kafka_partition
        AND r.kafka_offset = database_only.kafka_offset
);

-- name: cuts
-- Partitions of which nothing is read until an operator has them read again.
SELECT topic, kafka_partition FROM cuts WHERE reread_until IS NULL ORDER BY ALL;

-- name: rereading
-- Whether a partition is being read again.
SELECT EXISTS (FROM cuts WHERE reread_until IS NOT NULL);

-- name: record_cuts
-- Partitions whose topic was cut; one that is being read again has to be read again once more.
INSERT INTO cuts BY NAME SELECT topic, kafka_partition, $arrival AS arrival FROM incoming_cuts;

-- name: forget_partitions
-- What a table holds of partitions that are to be read again, or to wait for that.
DELETE FROM {table} WHERE EXISTS (
    SELECT 1 FROM incoming_cuts i WHERE i.topic = {table}.topic AND i.kafka_partition = {table}.kafka_partition
);

-- name: begin_rereads
-- Partitions that are read again from their beginning, up to the end that they have now.
INSERT INTO cuts BY NAME
SELECT topic, kafka_partition, reread_until, $arrival AS arrival FROM incoming_cuts WHERE reread_until > begins;

-- name: begin_again
-- Reading goes on at the beginning of these partitions; one that is not there any more has no row.
INSERT INTO positions BY NAME
SELECT topic, kafka_partition, begins AS next_offset, topic_id, $now AS moved_at
FROM incoming_cuts WHERE begins IS NOT NULL;

-- name: doubt
-- The views, deletions and dead letters of these partitions, until they are read again.
INSERT INTO database_only
SELECT topic, kafka_partition, kafka_offset, event_id, $arrival
FROM (
    SELECT $views AS topic, kafka_partition, kafka_offset, event_id FROM activity
    UNION ALL SELECT $deletions, kafka_partition, kafka_offset, event_id FROM purges
    UNION ALL SELECT topic, kafka_partition, kafka_offset, NULL FROM dead_letters
)
JOIN incoming_cuts USING (topic, kafka_partition);

-- name: last_arrival
-- The log's ID and the number of its last transaction.
SELECT log_id, last_arrival FROM log;

-- name: take_arrival
-- Remove that number if it is this one. It is written anew: DuckDB checkpoints a transaction that updates a row in place
-- only when nobody reads. DuckLake asks for no statistics where values are compared as one row, here and above.
DELETE FROM log WHERE (log_id, last_arrival) = ($log_id, $arrival);

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
-- Where reading goes on.
SELECT topic, kafka_partition, next_offset, topic_id, epoch_ms(last_timestamp) AS last_timestamp_ms, last_offset,
    leader_epoch
FROM positions;

-- name: deleted_matters
-- All deleted matters.
SELECT matter_id FROM purges;

-- name: matters_deleted_since
-- Matters that transactions after this one deleted.
SELECT matter_id FROM purges WHERE arrival > $arrival;
