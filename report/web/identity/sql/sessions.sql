-- name: start
-- Start a session.
INSERT INTO sessions (
    token_hash, account_id, awaits_second_factor, started_at, seen_at, address, authenticated_at, at_provider,
    has_second_factor
) VALUES (
    :token_hash, :account_id, :awaits_second_factor, :now, :now, :address, :authenticated_at, :at_provider,
    :has_second_factor
);

-- name: find
-- A session that has not ended, of an account that is not disabled.
SELECT sessions.rowid AS session_id, sessions.*, accounts.*
FROM sessions JOIN accounts USING (account_id)
WHERE token_hash = :token_hash
    AND accounts.disabled_at IS NULL
    AND sessions.seen_at > :idle_since
    AND sessions.started_at > :old_since
    AND (NOT sessions.awaits_second_factor OR sessions.started_at > :half_since);

-- name: of_account
-- An account's full sessions that have not ended, newest first.
SELECT sessions.rowid AS session_id, sessions.*, accounts.*
FROM sessions JOIN accounts USING (account_id)
WHERE account_id = :account_id
    AND NOT sessions.awaits_second_factor
    AND sessions.seen_at > :idle_since
    AND sessions.started_at > :old_since
ORDER BY sessions.started_at DESC;

-- name: see
-- Store when a session was last used.
UPDATE sessions SET seen_at = :now WHERE token_hash = :token_hash;

-- name: end
-- End a session.
DELETE FROM sessions WHERE token_hash = :token_hash;

-- name: sweep
-- Remove the sessions that have ended.
DELETE FROM sessions
WHERE seen_at <= :idle_since OR started_at <= :old_since OR (awaits_second_factor AND started_at <= :half_since);
