-- name: record
-- A file that is about to be handed out; one that was begun becomes whole.
INSERT INTO extracts (
    extract_id, made_at, made_by, how, name, format, columns, filter, rows, bytes, sha256, log_id, last_arrival,
    arrived_after, analysis
) VALUES (
    :extract_id, :made_at, :made_by, :how, :name, :format, :columns, :filter, :rows, :bytes, :sha256, :log_id,
    :last_arrival, :arrived_after, :analysis
)
ON CONFLICT (extract_id) DO UPDATE SET
    made_at = excluded.made_at, rows = excluded.rows, bytes = excluded.bytes, sha256 = excluded.sha256,
    log_id = excluded.log_id, last_arrival = excluded.last_arrival, arrived_after = excluded.arrived_after
WHERE extracts.sha256 = '' AND extracts.made_by = excluded.made_by
    AND coalesce(extracts.analysis, '') = coalesce(excluded.analysis, '')

-- name: name_extract
-- What a user made of an extract that the owner of the log recorded: its name alone.
UPDATE extracts SET name = :name, how = :how
WHERE extract_id = :extract_id AND made_by = :made_by AND sha256 = :sha256

-- name: withdraw
-- Remove a file that was not handed out.
DELETE FROM extracts WHERE extract_id = :extract_id

-- name: extracts
-- All files that were handed out, oldest first.
SELECT * FROM extracts ORDER BY made_at, extract_id

-- name: downloaded_by
-- An account's downloads from the site and the API, newest first.
SELECT * FROM extracts
WHERE made_by = :made_by AND how IN ('download', 'api') AND sha256 <> ''
ORDER BY made_at DESC, extract_id
LIMIT :limit
