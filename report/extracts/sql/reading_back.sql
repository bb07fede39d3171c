-- name: json_columns
-- The columns of a JSON file: the names in its first object.
DESCRIBE SELECT * FROM read_json($file, format = '{format}', sample_size = 1)

-- name: parquet_columns
-- The columns of a Parquet file.
DESCRIBE SELECT * FROM read_parquet($file)

-- name: read_csv
-- A CSV file's rows as text: nothing between two commas is NULL, "" is an empty text.
read_csv($file, columns = {types}, auto_detect = false, header = true, delim = ',', quote = '"', escape = '"',
    allow_quoted_nulls = false, parallel = false)

-- name: read_json
-- A JSON file's rows as text.
read_json($file, format = '{format}', columns = {types})

-- name: read_parquet
-- A Parquet file's rows.
read_parquet($file)
