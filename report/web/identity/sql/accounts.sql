-- name: add
-- A new account.
INSERT INTO accounts (name, role, password_hash, must_change_password, created_at)
VALUES (:name, :role, :password_hash, :must_change_password, :now)
RETURNING account_id;

-- name: by_name
-- One account.
SELECT * FROM accounts WHERE name = :name;

-- name: by_id
-- One account.
SELECT * FROM accounts WHERE account_id = :account_id;

-- name: by_subject
-- The account that a person at the identity provider has.
SELECT * FROM accounts WHERE provider_subject = :subject;

-- name: all
-- Every account.
SELECT * FROM accounts ORDER BY name;

-- name: other_administrators
-- How many administrators would be left without one account.
SELECT count(*) FROM accounts
WHERE role = 'administrator' AND disabled_at IS NULL AND account_id <> :account_id;

-- name: disable
-- No more sign-ins.
UPDATE accounts SET disabled_at = :now WHERE account_id = :account_id AND disabled_at IS NULL;

-- name: enable
-- Sign-ins again.
UPDATE accounts SET disabled_at = NULL WHERE account_id = :account_id;

-- name: set_password
-- Another password.
UPDATE accounts SET password_hash = :password_hash, must_change_password = :must_change_password
WHERE account_id = :account_id;

-- name: rehash_password
-- The same password under today's costs, unless it was changed meanwhile.
UPDATE accounts SET password_hash = :password_hash WHERE account_id = :account_id AND password_hash = :old_hash;

-- name: set_role
-- Another role.
UPDATE accounts SET role = :role WHERE account_id = :account_id;

-- name: set_subject
-- Whom the identity provider names.
UPDATE accounts SET provider_subject = :subject WHERE account_id = :account_id;

-- name: end_sessions
-- Whoever is signed in with an account is not any more; :except_hash may stay.
DELETE FROM sessions WHERE account_id = :account_id AND token_hash <> :except_hash;

-- name: remove_tokens
-- No program asks in an account's name any more.
DELETE FROM api_tokens WHERE account_id = :account_id;

-- name: remove_second_factor
-- Back to the password alone.
UPDATE accounts SET totp_secret = NULL, totp_last_step = 0 WHERE account_id = :account_id;

-- name: remove_recovery_codes
-- They belong to a second factor.
DELETE FROM recovery_codes WHERE account_id = :account_id;
