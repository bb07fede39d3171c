-- name: keys
-- The keys of encrypted files, by path.
SELECT path, encryption_key FROM ducklake_data_file WHERE encryption_key IS NOT NULL
UNION ALL SELECT path, encryption_key FROM ducklake_delete_file WHERE encryption_key IS NOT NULL

-- name: columns
-- Every column of the catalogue that holds text or bytes, and the table of the log whose rows it holds, if any.
SELECT n.nspname, c.relname, a.attname, a.atttypid = 'bytea'::regtype, t.table_name
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN ducklake_inlined_data_tables i ON n.nspname = 'public' AND i.table_name = c.relname
LEFT JOIN ducklake_table t ON t.table_id = i.table_id AND t.end_snapshot IS NULL
WHERE n.nspname IN ('public', 'matterlog') AND c.relkind IN ('r', 'p', 'm')
    AND (y.typcategory = 'S' OR y.typname IN ('bytea', 'json', 'jsonb', 'xml'))
ORDER BY 1, 2, 3

-- name: receipts
-- The numbers of the log's tables in which a receipt names the matter's ID.
SELECT coalesce(array_agg(table_id), '{}') FROM ducklake_table WHERE table_name = ANY (%(tables)s)

-- name: statistics
-- The columns of which PostgreSQL's statistics hold one of the texts.
SELECT DISTINCT format('%%s.%%s.%%s', schemaname, tablename, attname) FROM pg_stats, unnest(%(texts)s::text[]) sought
WHERE schemaname IN ('public', 'matterlog')
    AND (strpos(most_common_vals::text, sought) > 0 OR strpos(histogram_bounds::text, sought) > 0)

-- name: may_read_files
-- Whether this role may read PostgreSQL's own files, and how its write-ahead log is compressed.
SELECT has_function_privilege('pg_ls_waldir()', 'EXECUTE')
    AND has_function_privilege('pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE'),
    current_setting('wal_compression')

-- name: files
-- The files of this database and of the write-ahead log that hold one of the texts. Each is read in pieces.
WITH files AS (
    SELECT 'pg_wal/' || name AS file, size, 'write-ahead log ' || name AS place FROM pg_ls_waldir()
    UNION ALL
    SELECT relation.file || CASE WHEN part > 0 THEN '.' || part ELSE '' END, least(size - (part << 30), 1 << 30),
        'PostgreSQL''s file of ' || oid::regclass
    FROM (
        SELECT oid, pg_relation_filepath(oid) AS file, pg_relation_size(oid) AS size FROM pg_class
        WHERE relkind IN ('r', 't', 'm', 'i')
    ) relation, generate_series(0, size >> 30) part
)
SELECT DISTINCT place FROM files, generate_series(0, size, 1 << 24) begins, unnest(%(texts)s::text[]) sought
WHERE position(convert_to(sought, 'UTF8') IN pg_read_binary_file(file, begins, (1 << 24) + 1024, true)) > 0
ORDER BY place
