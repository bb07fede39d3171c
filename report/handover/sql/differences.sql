-- name: load
-- An extract's rows, under the names that the activity table has for its columns.
CREATE TABLE {side} AS SELECT {columns} FROM {source}

-- name: text
-- A column as text.
"{column}"::VARCHAR AS {field}

-- name: unguarded
-- A column without the guard of a formula-safe file.
{unguarded} AS {field}

-- name: written_instant
-- An instant as the report writes it; NULL where it is none.
try_strptime("{column}", '%Y-%m-%dT%H:%M:%S.%fZ') AS {field}

-- name: true_instant
-- An instant that has its type.
make_timestamp(epoch_us("{column}")) AS {field}

-- name: unreadable
-- The first row that lacks what every view has.
SELECT min(rowid) FROM {side} WHERE matter_viewed_at IS NULL OR user_id IS NULL OR matter_id IS NULL

-- name: count
-- How many rows a file has.
SELECT count(*) FROM {side}

-- name: only_in
-- The rows that one file has oftener than the other.
CREATE TABLE only_{side} AS SELECT {columns} FROM {side} EXCEPT ALL SELECT {columns} FROM {other}

-- name: is_in
-- Whether a row's event is among the rows of a table.
{alias}.event_id IN (SELECT event_id FROM {table})

-- name: keep_purges
-- The matters that were purged, and when.
CREATE TABLE purges AS SELECT matter_id AS purged_matter, min(purged_at) AS purged_at FROM incoming_purges GROUP BY matter_id

-- name: explain_old
-- What became of each row that the old extract alone has.
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
-- The rows that the new extract alone has. A changed row was told with the old one.
CREATE TABLE came AS
SELECT 'new' AS difference, NULL::TIMESTAMP AS purged_at, n.*
FROM only_new n LEFT JOIN purges p ON p.purged_matter = n.matter_id
WHERE NOT ({is_in_both}) AND NOT coalesce(p.purged_at < $new_taken_at, false)

-- name: find_survivors
-- Rows of the new extract whose matter had been purged before it was made: no row may survive its matter.
CREATE TABLE survivors AS
SELECT 'unexplained' AS difference, p.purged_at, {columns}
FROM new n JOIN purges p ON p.purged_matter = n.matter_id WHERE p.purged_at < $new_taken_at

-- name: counts
-- How many rows of each kind.
SELECT difference, count(*) FROM (
    SELECT difference FROM gone UNION ALL SELECT difference FROM came UNION ALL SELECT difference FROM survivors
) GROUP BY difference

-- name: purged_matters
-- How many rows each purged matter took with it.
SELECT matter_id, any_value(purged_at) AS purged_at, count(*) AS rows FROM gone WHERE difference = 'purged'
GROUP BY matter_id ORDER BY purged_at, matter_id

-- name: as_written
-- An instant as the report writes it.
strftime("{column}", '%Y-%m-%dT%H:%M:%S.%fZ') AS {field}

-- name: rows
-- The differing rows, as an extract writes them.
SELECT difference, {columns} FROM (
    SELECT * FROM gone UNION ALL BY NAME SELECT * FROM came UNION ALL BY NAME SELECT * FROM survivors
) ORDER BY ALL
