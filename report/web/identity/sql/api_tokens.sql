-- name: add
-- Add a token.
INSERT INTO api_tokens (account_id, token_hash, label, scopes, created_at, expires_at)
VALUES (:account_id, :token_hash, :label, :scopes, :now, :expires_at)
RETURNING token_id;

-- name: of_account
-- An account's tokens.
SELECT * FROM api_tokens WHERE account_id = :account_id ORDER BY token_id;

-- name: find
-- A token that has not expired, of an account that is not disabled.
SELECT api_tokens.token_id, api_tokens.scopes, api_tokens.last_used_at, accounts.*
FROM api_tokens JOIN accounts USING (account_id)
WHERE token_hash = :token_hash AND accounts.disabled_at IS NULL AND api_tokens.expires_at > :now;

-- name: use
-- Store when a token was last used.
UPDATE api_tokens SET last_used_at = :now WHERE token_id = :token_id;

-- name: remove
-- Remove one of an account's tokens.
DELETE FROM api_tokens WHERE token_id = :token_id AND account_id = :account_id RETURNING label;
