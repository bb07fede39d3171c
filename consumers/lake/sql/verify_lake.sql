-- name: log_columns
-- The columns of the log's tables in which a receipt names the matter's ID.
SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'log' AND list_contains($tables, table_name);

-- name: objects
-- Every object below a prefix, from the storage.
SELECT file FROM glob({place}) ORDER BY file;

-- name: bytes
-- An object's bytes.
SELECT content FROM read_blob({place});

-- name: columns
-- The columns of a Parquet file.
DESCRIBE SELECT * FROM {source};

-- name: rows
-- How many of its rows meet a condition.
SELECT count(*) FROM {source} WHERE {condition};

-- name: messages
-- Its dead letters with their bytes.
SELECT [coalesce(key, ''::BLOB), payload] || list_transform(headers, lambda header: coalesce(header.value, ''::BLOB))
FROM {source};

-- name: footer
-- The smallest and greatest values that its footer names.
SELECT DISTINCT unnest([stats_min, stats_max, stats_min_value, stats_max_value]) FROM parquet_metadata({place});
