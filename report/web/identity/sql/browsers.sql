-- name: knows
-- Whether an account's owner has signed in with a browser before.
SELECT 1 FROM browsers WHERE token_hash = :token_hash AND account_id = :account_id;

-- name: remember
-- Store that an account's owner has signed in with a browser.
INSERT INTO browsers (token_hash, account_id, seen_at) VALUES (:token_hash, :account_id, :now)
ON CONFLICT (token_hash) DO UPDATE SET seen_at = :now;

-- name: sweep
-- Forget the browsers that nobody has signed in with for a long time.
DELETE FROM browsers WHERE seen_at <= :old_since;
