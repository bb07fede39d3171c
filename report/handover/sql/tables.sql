-- The register of extracts, version 1, in an SQLite file beside the database.

-- One row for each file that was handed out. No name of a person or matter, no e-mail.
CREATE TABLE extracts (
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
) STRICT;
