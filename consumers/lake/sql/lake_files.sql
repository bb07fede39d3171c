-- name: tables
-- The tables of the lake.
SELECT table_name FROM duckdb_tables() WHERE database_name = 'log';

-- name: named
-- The files of a table, and those that say which of their rows were removed.
FROM (SELECT data_file, data_file_size_bytes FROM ducklake_list_files('log', {table})
    UNION SELECT delete_file, delete_file_size_bytes FROM ducklake_list_files('log', {table}))
WHERE data_file IS NOT NULL;

-- name: object
-- One object below a prefix, from the storage.
SELECT file FROM glob({place}) LIMIT 1;

-- name: sizes
-- Every object below a prefix, with its size.
SELECT filename, size FROM read_blob({place});
