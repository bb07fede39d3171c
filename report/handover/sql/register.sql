-- name: create
-- The register of extracts (SQLite): one row for each file that was handed out. No name of a person or matter, no e-mail.
CREATE TABLE IF NOT EXISTS extracts (
    extract_id TEXT PRIMARY KEY,
    made_at TEXT NOT NULL,          -- instant in UTC
    made_by TEXT NOT NULL,          -- user of the operating system, or account
    how TEXT NOT NULL,              -- export, series, download or api
    name TEXT NOT NULL,             -- the file's path, or what it was called at a download
    format TEXT NOT NULL,
    columns TEXT NOT NULL,          -- JSON array
    filter TEXT NOT NULL,           -- JSON object
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    log_id TEXT NOT NULL,
    last_arrival INTEGER NOT NULL,  -- the last transaction that the extract's snapshot contains
    arrived_after INTEGER,          -- an increment holds only what later transactions stored; NULL: everything
    analysis TEXT                   -- of an engagement table: which; NULL: the Activity report
) STRICT

-- name: record
-- A file that is about to be handed out.
INSERT INTO extracts VALUES (
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
