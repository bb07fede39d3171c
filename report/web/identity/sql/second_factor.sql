-- name: set_secret
-- Add the second factor to an account.
UPDATE accounts SET totp_secret = :secret, totp_last_step = :step WHERE account_id = :account_id;

-- name: in_clear
-- The secrets that are not encrypted: those in base32.
SELECT account_id, totp_secret FROM accounts WHERE totp_secret NOT GLOB 'gAAAAA*';

-- name: replace_secret
-- Store a secret in another form.
UPDATE accounts SET totp_secret = :secret WHERE account_id = :account_id;

-- name: use_step
-- Use up a code. The same code or an older one changes no row later.
UPDATE accounts SET totp_last_step = :step WHERE account_id = :account_id AND totp_last_step < :step;

-- name: add_recovery_code
-- Add one of the codes that replace a lost device.
INSERT INTO recovery_codes (code_hash, account_id) VALUES (:code_hash, :account_id);

-- name: use_recovery_code
-- Use up a recovery code.
DELETE FROM recovery_codes WHERE account_id = :account_id AND code_hash = :code_hash;

-- name: count_recovery_codes
-- Count the recovery codes that are left.
SELECT count(*) FROM recovery_codes WHERE account_id = :account_id;
