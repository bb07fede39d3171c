-- name: removals
-- What was removed and may still be in the file: how many times, and since when.
SELECT count(*), min(removed_at) FROM removals;

-- name: record_file_erased
-- Neither the file nor a backup holds bytes of these matters any more.
UPDATE purges SET file_erased_at = $now, snapshots_erased_at = $now
WHERE file_erased_at IS NULL
    AND matter_id IN (SELECT matter_id FROM removals WHERE arrival <= $arrival)
    AND matter_id NOT IN (SELECT matter_id FROM removals WHERE arrival > $arrival AND matter_id IS NOT NULL);

-- name: forget_removals
-- What the rewritten file no longer holds.
DELETE FROM removals WHERE arrival <= $arrival;

-- name: tables
-- The tables of a database, the one of views first.
SELECT table_name FROM duckdb_tables() WHERE database_name = $database ORDER BY table_name != 'activity', table_name;

-- name: fingerprint
-- How many rows a table has, and what they are in any order.
SELECT count(*), bit_xor(hash({table})) FROM {database}.{table};

-- name: last_arrival
-- The number of the last transaction that a database holds.
SELECT last_arrival FROM {database}.log;

-- name: drop_slice_of_views
-- Views of matters that were deleted since the copy, at most so many at once.
DELETE FROM erased.activity WHERE rowid IN (
    SELECT rowid FROM erased.activity
    WHERE matter_id IN (SELECT matter_id FROM held.purges WHERE arrival > $arrival) LIMIT $rows
);

-- name: bring_views
-- Views that came since the copy.
INSERT INTO erased.activity SELECT * FROM held.activity WHERE arrival > $arrival;

-- name: empty_table
-- A small table that has changed since the copy is brought over whole.
DELETE FROM erased.{table};

-- name: fill_table
-- The same.
INSERT INTO erased.{table} SELECT * FROM held.{table};

-- name: rows_of_deleted_matters
-- What must not be in a file that takes the place of another: 0.
SELECT
    (SELECT count(*) FROM {database}.activity WHERE matter_id IN (SELECT matter_id FROM {database}.purges))
    + (SELECT count(*) FROM {database}.dead_letters WHERE matter_id IN (SELECT matter_id FROM {database}.purges));

-- name: log
-- Which log a database is, and its last transaction.
SELECT log_id::VARCHAR, last_arrival FROM {database}.log;

-- name: positions
-- Where a database stands in the topics.
SELECT topic, kafka_partition, next_offset FROM {database}.positions ORDER BY ALL;

-- name: begin_another_log
-- A database that is put together again is another log.
UPDATE new_log.log SET log_id = uuid();

-- name: begin_recovery
-- Nobody may read it before every deletion is applied.
INSERT INTO new_log.recoveries VALUES ($now, $source, NULL);

-- name: remember_what_is_replaced
-- What it replaces is moved aside, and leaves the disk with the next rewrite.
INSERT INTO new_log.removals SELECT NULL, $now, last_arrival FROM new_log.log;
