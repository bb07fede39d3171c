-- name: add
-- Add an account.
INSERT INTO accounts (name, role, password_hash, must_change_password, created_at, password_set_at)
VALUES (:name, :role, :password_hash, :must_change_password, :now, :now)
RETURNING account_id;

-- name: find
-- An account by its number, its name or its subject at the identity provider: the one of them that is not NULL.
SELECT * FROM accounts WHERE account_id = :account_id OR name = :name OR provider_subject = :subject;

-- name: all
-- Every account.
SELECT * FROM accounts ORDER BY name;

-- name: other_administrators
-- How many administrators would be left without one account.
SELECT count(*) FROM accounts
WHERE role = 'administrator' AND disabled_at IS NULL AND account_id <> :account_id;

-- name: disable
-- Disable an account, unless it is disabled.
UPDATE accounts SET disabled_at = :now WHERE account_id = :account_id AND disabled_at IS NULL;

-- name: enable
-- Enable an account again.
UPDATE accounts SET disabled_at = NULL WHERE account_id = :account_id;

-- name: set_password
-- Set a new password.
UPDATE accounts
SET password_hash = :password_hash, must_change_password = :must_change_password, password_set_at = :now
WHERE account_id = :account_id;

-- name: rehash_password
-- Store a new hash of the same password, unless the password was changed meanwhile.
UPDATE accounts SET password_hash = :password_hash WHERE account_id = :account_id AND password_hash = :old_hash;

-- name: set_role
-- Change an account's role.
UPDATE accounts SET role = :role WHERE account_id = :account_id;

-- name: set_subject
-- Store the identity provider's subject for an account, or NULL for none.
UPDATE accounts SET provider_subject = :subject WHERE account_id = :account_id;

-- name: end_sessions
-- End all sessions of an account except the one with :except_hash.
DELETE FROM sessions WHERE account_id = :account_id AND token_hash <> :except_hash;

-- name: remove_tokens
-- Remove all API tokens of an account.
DELETE FROM api_tokens WHERE account_id = :account_id;

-- name: remove_second_factor
-- Remove the secret, so that the password is enough.
UPDATE accounts SET totp_secret = NULL, totp_last_step = 0 WHERE account_id = :account_id;

-- name: remove_recovery_codes
-- Remove the recovery codes, which belong to the second factor.
DELETE FROM recovery_codes WHERE account_id = :account_id;
