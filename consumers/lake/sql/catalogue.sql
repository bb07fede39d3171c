-- name: readers_since
-- How many transactions of this database began before an instant and still run.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND xact_start < %(instant)s AND pid <> pg_backend_pid()

-- name: end_readers_since
-- End the sessions of those.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND xact_start < %(instant)s AND pid <> pg_backend_pid()

-- name: now
-- The time in PostgreSQL.
SELECT clock_timestamp()

-- name: renew_statistics
-- The smallest and greatest value of each text column of a table, from the files that are left.
UPDATE ducklake_table_column_stats t SET min_value = f.lowest, max_value = f.highest
FROM (
    SELECT s.table_id, s.column_id, min(s.min_value) AS lowest, max(s.max_value) AS highest
    FROM ducklake_file_column_stats s JOIN ducklake_data_file d USING (data_file_id)
    WHERE d.end_snapshot IS NULL GROUP BY s.table_id, s.column_id
) f
JOIN ducklake_column c ON c.table_id = f.table_id AND c.column_id = f.column_id
WHERE t.table_id = f.table_id AND t.column_id = f.column_id AND c.column_type = 'varchar'

-- name: forget_statistics
-- The same for tables of which no file is left.
UPDATE ducklake_table_column_stats t SET min_value = NULL, max_value = NULL
WHERE NOT EXISTS (SELECT 1 FROM ducklake_data_file d WHERE d.table_id = t.table_id AND d.end_snapshot IS NULL)

-- name: tables
-- The catalogue's tables, and PostgreSQL's own statistics of them.
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'matterlog')

-- name: switch_wal
-- Begin a new file of the write-ahead log.
SELECT pg_switch_wal()
