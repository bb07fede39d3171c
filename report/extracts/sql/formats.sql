-- name: csv
-- RFC 4180: a header, lines that end with CR LF, quotes where a value needs them. The writer formats instants, after the
-- sort, which would otherwise move five times as many bytes. The column has no zone, so the session's zone does not
-- change it.
FORMAT csv, HEADER true, NEW_LINE '\r\n', USE_TMP_FILE false, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'

-- name: json
-- One array of objects.
FORMAT json, ARRAY true, USE_TMP_FILE false, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'

-- name: ndjson
-- One object per line.
FORMAT json, ARRAY false, USE_TMP_FILE false, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'

-- name: parquet
-- Columns with their types.
FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false
