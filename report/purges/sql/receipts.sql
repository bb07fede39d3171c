-- name: receipts
-- The receipts, newest first; $matter NULL for all.
SELECT p.*, coalesce(t.waiting, 0) AS tombstones_waiting, t.oldest AS oldest_tombstone_at
FROM purges p
LEFT JOIN (
    SELECT matter_id, count(*) AS waiting, min(since) AS oldest FROM tombstones GROUP BY matter_id
) t ON t.matter_id = p.matter_id
WHERE $matter IS NULL OR p.matter_id = $matter
ORDER BY p.purged_at DESC, p.matter_id;

-- name: recalls
-- The files that were handed out and held rows of deleted matters, oldest first; $matter NULL for all.
SELECT r.matter_id, e.extract_id, e.made_at, e.made_by, e.how, e.name, e.sha256, r.rows
FROM recalls r
JOIN recalled_extracts e ON e.extract_id = r.extract_id
WHERE $matter IS NULL OR r.matter_id = $matter
ORDER BY e.made_at, e.extract_id;

-- name: kept_in
-- What the log is kept in: a database file of DuckDB, or a lake.
SELECT type FROM duckdb_databases() WHERE database_name = current_database();
