ALTER TABLE accounts ADD COLUMN password_set_at TEXT;
-- A first password that nobody has changed yet expires as one that is set today.
UPDATE accounts SET password_set_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE must_change_password;
ALTER TABLE sessions ADD COLUMN authenticated_at TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN at_provider INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN has_second_factor INTEGER NOT NULL DEFAULT 0;
CREATE TABLE browsers (
    token_hash BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    seen_at TEXT NOT NULL
) STRICT;
