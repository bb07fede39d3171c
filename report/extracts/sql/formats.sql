-- name: csv
-- RFC 4180: a header, lines that end with CR LF, quotes where a value needs them. An instant becomes text in the writer,
-- behind the sort, which would have five times as many bytes of it to move; its column has no zone, so no session's zone
-- can move it.
FORMAT csv, HEADER true, NEW_LINE '\r\n', USE_TMP_FILE false, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'

-- name: json
-- One array of objects.
FORMAT json, ARRAY true, USE_TMP_FILE false, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'

-- name: ndjson
-- One object a line.
FORMAT json, ARRAY false, USE_TMP_FILE false, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'

-- name: parquet
-- Columns with their types.
FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false
