-- name: load
-- An extract's rows, with the column names of the activity table.
CREATE TABLE {side} AS SELECT {columns} FROM {source}

-- name: text
-- A column as text.
"{column}"::VARCHAR AS {field}

-- name: unguarded
-- A column without the guard against formulas.
{unguarded} AS {field}

-- name: written_instant
-- An instant from the report's text; NULL for other text.
try_strptime("{column}", '%Y-%m-%dT%H:%M:%S.%fZ') AS {field}

-- name: true_instant
-- An instant with its type.
make_timestamp(epoch_us("{column}")) AS {field}

-- name: unreadable
-- The first row without a value that every view has.
SELECT min(rowid) FROM {side} WHERE matter_viewed_at IS NULL OR user_id IS NULL OR matter_id IS NULL

-- name: only_in
-- The rows that one file has more often than the other.
CREATE TABLE only_{side} AS SELECT {columns} FROM {side} EXCEPT ALL SELECT {columns} FROM {other}

-- name: is_in
-- Whether a table has a row of the same event.
{alias}.event_id IN (SELECT event_id FROM {table})

-- name: keep_purges
-- The matters that were purged, and when.
CREATE TABLE purges AS
SELECT purged_matter, min(purged_at) AS purged_at
FROM (SELECT unnest($matters::VARCHAR[]) AS purged_matter, unnest($instants::TIMESTAMP[]) AS purged_at)
GROUP BY purged_matter

-- name: explain_old
-- Why the new extract lacks each row that only the old extract has.
CREATE TABLE gone AS
SELECT
    CASE
        WHEN p.purged_matter IS NOT NULL THEN 'purged'
        WHEN {is_in_both} THEN 'changed'
        WHEN NOT coalesce({condition}, false) THEN 'left out'
        ELSE 'unexplained'
    END AS difference,
    p.purged_at, {columns}
FROM (SELECT o.*{absent} FROM only_old o) o LEFT JOIN purges p ON p.purged_matter = o.matter_id

-- name: explain_new
-- The rows that only the new extract has. A changed row was already counted in the old extract.
CREATE TABLE came AS
SELECT 'new' AS difference, NULL::TIMESTAMP AS purged_at, n.*
FROM only_new n LEFT JOIN purges p ON p.purged_matter = n.matter_id
WHERE NOT ({is_in_both}) AND NOT coalesce(p.purged_at < $new_taken_at, false)

-- name: find_survivors
-- Rows of the new extract although their matter was purged before it was made.
CREATE TABLE survivors AS
SELECT 'unexplained' AS difference, p.purged_at, {columns}
FROM new n JOIN purges p ON p.purged_matter = n.matter_id WHERE p.purged_at < $new_taken_at

-- name: counts
-- How many rows of each kind, and of each file.
SELECT difference, count(*) FROM (
    SELECT difference FROM gone UNION ALL SELECT difference FROM came UNION ALL SELECT difference FROM survivors
) GROUP BY difference
UNION ALL SELECT 'old rows', count(*) FROM old UNION ALL SELECT 'new rows', count(*) FROM new

-- name: purged_matters
-- How many rows were purged with each matter.
SELECT matter_id, any_value(purged_at) AS purged_at, count(*) AS rows FROM gone WHERE difference = 'purged'
GROUP BY matter_id ORDER BY purged_at, matter_id

-- name: as_written
-- An instant in the report's form.
strftime("{column}", '%Y-%m-%dT%H:%M:%S.%fZ') AS {field}

-- name: rows
-- The differing rows, with values as in an extract.
SELECT difference, {columns} FROM (
    SELECT * FROM gone UNION ALL BY NAME SELECT * FROM came UNION ALL BY NAME SELECT * FROM survivors
) ORDER BY ALL
