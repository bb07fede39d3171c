-- name: removals
-- The number of removals that may still be in the file, and the time of the first.
SELECT count(*), min(removed_at) FROM removals;

-- name: tables
-- The tables of a database, the one of views first.
SELECT table_name FROM duckdb_tables() WHERE database_name = $database ORDER BY table_name != 'activity', table_name;

-- name: fingerprint
-- A table's number of rows, and a hash of them that does not depend on their order.
SELECT count(*), bit_xor(hash({table})) FROM {database}.{table};

-- name: drop_slice_of_views
-- Remove views of matters that were deleted since the copy, a limited number at once.
DELETE FROM erased.activity WHERE rowid IN (
    SELECT rowid FROM erased.activity
    WHERE matter_id IN (SELECT matter_id FROM held.purges WHERE arrival > $arrival) LIMIT $rows
);

-- name: copy_new_views
-- Copy the views that came since the first copy.
INSERT INTO erased.activity SELECT * FROM held.activity WHERE arrival > $arrival;

-- name: copy_table_again
-- Copy all of a small table that has changed since the copy.
DELETE FROM erased.{table}; INSERT INTO erased.{table} SELECT * FROM held.{table};

-- name: rows_of_deleted_matters
-- The number of rows of deleted matters: must be 0 in a new file and in a backup.
SELECT
    (SELECT count(*) FROM {database}.activity WHERE matter_id IN (SELECT matter_id FROM {database}.purges))
    + (SELECT count(*) FROM {database}.dead_letters WHERE matter_id IN (SELECT matter_id FROM {database}.purges));

-- name: log
-- The ID of a database's log, and its last transaction.
SELECT log_id::VARCHAR, last_arrival FROM {database}.log;

-- name: positions
-- The Kafka positions of a database.
SELECT topic, kafka_partition, next_offset FROM {database}.positions ORDER BY ALL;

-- name: begin_another_log
-- A restored or rebuilt database is another log.
UPDATE new_log.log SET log_id = uuid();

-- name: begin_recovery
-- Mark the database as recovering: nobody may read it until all deletions are applied.
INSERT INTO new_log.recoveries VALUES ($now, $source, NULL);

-- name: remember_what_is_replaced
-- The old file was moved aside. It is removed with the next rewrite.
INSERT INTO new_log.removals SELECT NULL, $now, last_arrival FROM new_log.log;
