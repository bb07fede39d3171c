-- The admin site's own tables, version 2, in a SQLite file beside the database.
--
-- Every time is text in UTC, YYYY-MM-DDTHH:MM:SS.ffffffZ, so that it sorts as it reads. Of every secret that somebody
-- presents (session, token, recovery code) only a hash is kept; of passwords, Argon2id.

-- Who may sign in. AUTOINCREMENT: the number of an account that is gone is never given to another one. Without a
-- password hash an account signs in through the identity provider alone.
CREATE TABLE accounts (
    account_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('analyst', 'administrator')),
    password_hash TEXT,
    must_change_password INTEGER NOT NULL DEFAULT 0,
    totp_secret TEXT,
    totp_last_step INTEGER NOT NULL DEFAULT 0,
    provider_subject TEXT UNIQUE,
    disabled_at TEXT,
    created_at TEXT NOT NULL,
    password_set_at TEXT
) STRICT;

-- Who is signed in. A session awaits its second factor, or is whole. authenticated_at: when its owner last proved who it
-- is; empty in the sessions of version 1. has_second_factor: a second factor was asked for, here or by the provider.
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    awaits_second_factor INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    address TEXT NOT NULL,
    authenticated_at TEXT NOT NULL DEFAULT '',
    at_provider INTEGER NOT NULL DEFAULT 0,
    has_second_factor INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The browsers in which an account's owner has signed in before, which count their failed sign-ins by themselves.
CREATE TABLE browsers (
    token_hash BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    seen_at TEXT NOT NULL
) STRICT;

-- What replaces a lost second factor, each once.
CREATE TABLE recovery_codes (
    code_hash BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts
) STRICT;

-- What lets a program ask in an account's name.
CREATE TABLE api_tokens (
    token_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts,
    token_hash BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    last_used_at TEXT
) STRICT;

-- The manifest of each extract that was downloaded, so that its reader can take it later. It names no person or matter
-- but by the IDs that were filtered by, as the register of extracts does.
CREATE TABLE manifests (
    extract_id TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    manifest TEXT NOT NULL
) STRICT;

-- Sign-ins that are under way at the identity provider.
CREATE TABLE provider_sign_ins (
    state_hash BLOB PRIMARY KEY,
    visit_hash BLOB NOT NULL,
    nonce TEXT NOT NULL,
    code_verifier TEXT NOT NULL,
    started_at TEXT NOT NULL
) STRICT;

-- The audit log: append-only, each entry holds the hash of the one before. No name and no e-mail of the log.
CREATE TABLE acts (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    act TEXT NOT NULL,
    account TEXT,
    address TEXT,
    details TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- The log's end: an entry that is missing there would break no chain.
CREATE TABLE acts_end (number INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
INSERT INTO acts_end (number, hash) VALUES (0, '');

CREATE TRIGGER acts_stay BEFORE UPDATE ON acts BEGIN SELECT raise(ABORT, 'the record of acts is append-only'); END;
CREATE TRIGGER acts_remain BEFORE DELETE ON acts BEGIN SELECT raise(ABORT, 'the record of acts is append-only'); END;
