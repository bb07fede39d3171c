-- name: copy
-- DuckDB's own writer.
COPY ({rows}) TO '{target}' ({options})

-- name: plain
-- A column as it is.
{field} AS "{column}"

-- name: true_instant
-- An instant with its type, in UTC.
make_timestamptz(epoch_us({field})) AS "{column}"

-- name: text
-- A column as text, for any DuckDB type.
{field}::VARCHAR AS "{column}"
