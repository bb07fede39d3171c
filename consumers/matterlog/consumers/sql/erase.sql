-- name: removals
-- What was removed and may still be in the file: how many times, and since when.
SELECT count(*), min(removed_at) FROM removals;

-- name: record_file_erased
-- The file holds no bytes of these matters any more.
UPDATE purges SET file_erased_at = $now
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
-- What must not be in a rewritten file: 0.
SELECT
    (SELECT count(*) FROM erased.activity WHERE matter_id IN (SELECT matter_id FROM erased.purges))
    + (SELECT count(*) FROM erased.dead_letters WHERE matter_id IN (SELECT matter_id FROM erased.purges));
