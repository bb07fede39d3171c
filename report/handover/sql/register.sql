-- name: record
-- A file that is about to be handed out.
INSERT INTO extracts (
    extract_id, made_at, made_by, how, name, format, columns, filter, rows, bytes, sha256, log_id, last_arrival,
    arrived_after, analysis
) VALUES (
    :extract_id, :made_at, :made_by, :how, :name, :format, :columns, :filter, :rows, :bytes, :sha256, :log_id,
    :last_arrival, :arrived_after, :analysis
)

-- name: withdraw
-- A file that was not handed out after all.
DELETE FROM extracts WHERE extract_id = :extract_id

-- name: extracts
-- What was handed out, in the order of time.
SELECT * FROM extracts ORDER BY made_at, extract_id

-- name: downloaded_by
-- What an account took from the site or its API, the newest first.
SELECT * FROM extracts
WHERE made_by = :made_by AND how IN ('download', 'api')
ORDER BY made_at DESC, extract_id
LIMIT :limit
