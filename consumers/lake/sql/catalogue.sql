-- name: become_eraser
-- Whether this session is now the one that erases. It stays so until it ends.
SELECT pg_try_advisory_lock(hashtext('matterlog'), hashtext('erasure'))

-- name: lock_holders
-- The processes that hold a lock of the kind of the commit lock.
SELECT array_agg(pid ORDER BY pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: keep_commits_away
-- Let nobody commit to the lake until this transaction ends. Reading goes on.
LOCK TABLE ducklake_snapshot IN SHARE ROW EXCLUSIVE MODE

-- name: narrow_statistics
-- The smallest and greatest value of each text column, from the files that are left. DuckDB compares bytes, and finds
-- no row outside of these two: all rows must lie in files. A table without files has none.
UPDATE ducklake_table_column_stats t SET min_value = f.lowest, max_value = f.highest
FROM (
    SELECT c.table_id, c.column_id,
        CASE WHEN bool_and(s.min_value IS NOT NULL OR s.value_count = s.null_count)
            THEN min(s.min_value COLLATE "C") END AS lowest,
        CASE WHEN bool_and(s.max_value IS NOT NULL OR s.value_count = s.null_count)
            THEN max(s.max_value COLLATE "C") END AS highest
    FROM ducklake_column c
    LEFT JOIN ducklake_data_file d ON d.table_id = c.table_id AND d.end_snapshot IS NULL
    LEFT JOIN ducklake_file_column_stats s
        ON s.data_file_id = d.data_file_id AND s.table_id = c.table_id AND s.column_id = c.column_id
    WHERE c.column_type IN ('varchar', 'blob') AND c.end_snapshot IS NULL
    GROUP BY c.table_id, c.column_id
) f
WHERE t.table_id = f.table_id AND t.column_id = f.column_id
    AND (t.min_value IS DISTINCT FROM f.lowest OR t.max_value IS DISTINCT FROM f.highest)

-- name: forget_kept_statistics
-- Processes keep statistics that they have read until the next number of a file changes, and would write them back.
UPDATE ducklake_snapshot SET next_file_id = next_file_id + 1
WHERE snapshot_id = (SELECT max(snapshot_id) FROM ducklake_snapshot)

-- name: schedule_orphan
-- Have a file removed that no snapshot names. It has no number, so it gets one that no file will ever have.
INSERT INTO ducklake_files_scheduled_for_deletion VALUES (9223372036854775807, %(path)s, false, now())

-- name: moment
-- The time in PostgreSQL, and the number of this transaction.
SELECT clock_timestamp() AS instant, pg_current_xact_id()::xid AS transaction

-- name: readers_since
-- How many transactions of this database began before an instant and have not ended.
SELECT (
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start < %(instant)s AND pid <> pg_backend_pid()
) + (
    SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() AND prepared < %(instant)s
)

-- name: kept_for_standbys
-- How many replication slots and standbys have PostgreSQL keep rows that a transaction removed.
SELECT count(*) FROM (
    SELECT xmin AS oldest FROM pg_replication_slots
    UNION ALL SELECT catalog_xmin FROM pg_replication_slots
    UNION ALL SELECT backend_xmin FROM pg_stat_replication
) kept
WHERE age(oldest) >= age(%(transaction)s::text::xid)

-- name: end_readers_since
-- End the sessions of those transactions.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND xact_start < %(instant)s AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'

-- name: rewriting
-- What writes the catalogue's tables again, and drops what PostgreSQL knows of the values in their columns.
SELECT format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE %s',
    s.schemaname, s.tablename, s.attname, format_type(a.atttypid, a.atttypmod))
FROM pg_stats s JOIN pg_attribute a
    ON a.attrelid = format('%I.%I', s.schemaname, s.tablename)::regclass AND a.attname = s.attname
WHERE s.schemaname IN ('public', 'matterlog')
    AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
UNION ALL
SELECT format('VACUUM (FULL) %I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname IN ('public', 'matterlog')
UNION ALL
SELECT 'VACUUM (FULL) pg_statistic'

-- name: wal_in_use
-- The files of the write-ahead log up to the one that is written now.
SELECT name FROM pg_ls_waldir() WHERE name <= pg_walfile_name(pg_current_wal_insert_lsn()) AND name ~ '^[0-9A-F]{24}$'

-- name: wal_files
-- How many files the write-ahead log has, and how many of them PostgreSQL is told to keep.
SELECT (SELECT count(*) FROM pg_ls_waldir()) AS files, (
    SELECT ceil(pg_size_bytes(current_setting('wal_keep_size')) / pg_size_bytes(current_setting('wal_segment_size')))
) AS kept

-- name: next_wal_file
-- Begin a new file of the write-ahead log, with a commit: without one PostgreSQL would not begin the next. The rest of the
-- file before is written over.
SELECT pg_current_xact_id(), pg_switch_wal()
