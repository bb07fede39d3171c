-- name: rows
-- The rows of an extract, in the order of time; rows of one instant in the order of their events' IDs.
SELECT {columns}
FROM activity
WHERE {condition}
ORDER BY activity.matter_viewed_at, activity.event_id

-- name: condition
-- Which rows pass: those of the filter, and for an increment those that arrived since.
($since::TIMESTAMP IS NULL OR matter_viewed_at >= $since)
    AND ($until::TIMESTAMP IS NULL OR matter_viewed_at < $until)
    AND ($matters::VARCHAR[] IS NULL OR list_contains($matters, matter_id))
    AND ($users::VARCHAR[] IS NULL OR list_contains($users, user_id))
    AND ($user_types::VARCHAR[] IS NULL OR list_contains($user_types, user_type::VARCHAR))
    AND ($matter_types::VARCHAR[] IS NULL OR list_contains($matter_types, matter_type::VARCHAR))
    AND ($companies::VARCHAR[] IS NULL OR list_contains($companies, user_company_id))
    AND ($arrived_after::BIGINT IS NULL OR arrival > $arrived_after)

-- name: count
-- How many rows pass.
SELECT count(*) FROM activity WHERE {condition}

-- name: first_instant
-- When the first of the rows was viewed; NULL without rows.
SELECT min(matter_viewed_at) FROM activity WHERE {condition}

-- name: first
-- The first rows, to look at.
{rows}
LIMIT $limit

-- name: copy
-- DuckDB's own writer.
COPY ({rows}) TO '{target}' ({options})

-- name: plain
-- A column as it is.
{field} AS "{column}"

-- name: instant
-- An instant in UTC, to the microsecond, as text.
strftime({field}, '%Y-%m-%dT%H:%M:%S.%fZ') AS "{column}"

-- name: true_instant
-- An instant that a program reads as one, in UTC.
make_timestamptz(epoch_us({field})) AS "{column}"

-- name: text
-- A column as text, whatever DuckDB's type is.
{field}::VARCHAR AS "{column}"

-- name: formula_safe
-- Text that a spreadsheet cannot take for a formula: a quote in front of what begins, behind any quotes, like one. The
-- first two lines are for speed alone: nearly all text begins with a letter or a figure, which a comparison tells.
CASE WHEN {field} >= 'A' AND {field} < chr(65280) THEN {field}
    WHEN {field} >= '0' AND {field} < ':' THEN {field}
    WHEN list_contains($formula_starts, left(ltrim({field}, ''''), 1)) THEN '''' || {field}
    ELSE {field} END AS "{column}"

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
