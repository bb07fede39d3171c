-- name: server
-- The version of PostgreSQL, how DuckLake's tables are laid out, and whether files are encrypted.
SELECT current_setting('server_version'), current_setting('server_version_num')::int,
    (SELECT value FROM ducklake_metadata WHERE key = 'version'),
    (SELECT value FROM ducklake_metadata WHERE key = 'encrypted')

-- name: clock
-- The time in PostgreSQL.
SELECT clock_timestamp()

-- name: may_change
-- Whether this role may change the lake, and record extracts.
SELECT has_table_privilege('ducklake_snapshot', 'INSERT'), has_table_privilege('matterlog.extracts', 'INSERT')

-- name: settings
-- Settings under which a purged name may live on, and why. The value is NULL where this role may not see it.
SELECT name, current_setting(name, true), why FROM (VALUES
    ('archive_mode', 'off', 'archived files of the write-ahead log keep names: let them expire by the deadline'),
    ('log_statement', 'none', 'PostgreSQL''s text log shows statements, and names in them'),
    ('log_min_duration_statement', '-1', 'PostgreSQL''s text log shows slow statements, and names in them'),
    ('log_min_duration_sample', '-1', 'PostgreSQL''s text log shows slow statements, and names in them'),
    ('log_transaction_sample_rate', '0', 'PostgreSQL''s text log shows statements, and names in them'),
    ('log_min_error_statement', 'panic', 'PostgreSQL''s text log shows refused statements, and names in them'),
    ('wal_compression', 'off', 'verify-purge cannot search the write-ahead log'),
    ('max_prepared_transactions', '0', 'a prepared transaction that is forgotten keeps removed rows')
) wanted (name, value, why)
WHERE current_setting(name, true) IS DISTINCT FROM value

-- name: replicas
-- How many replication slots and standbys there are: each holds, or is to receive, what is erased here.
SELECT (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_stat_replication)

-- name: watch_requests
-- Keep the answers of the storage.
CALL enable_logging('HTTP');

-- name: read_object
-- Ask for an object.
SELECT size FROM read_blob({place});

-- name: object_versions
-- The versions that the storage named in its answers.
SELECT DISTINCT response.headers['x-amz-version-id'] FROM duckdb_logs_parsed('HTTP')
WHERE response.headers['x-amz-version-id'] IS NOT NULL;
