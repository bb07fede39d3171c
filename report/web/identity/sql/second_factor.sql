-- name: set_secret
-- The account has a second factor from now on.
UPDATE accounts SET totp_secret = :secret, totp_last_step = :step WHERE account_id = :account_id;

-- name: use_step
-- A code is used once: whoever comes later with the same or an older one changes nothing.
UPDATE accounts SET totp_last_step = :step WHERE account_id = :account_id AND totp_last_step < :step;

-- name: add_recovery_code
-- One of the codes that replace a lost device.
INSERT INTO recovery_codes (code_hash, account_id) VALUES (:code_hash, :account_id);

-- name: use_recovery_code
-- It is used up.
DELETE FROM recovery_codes WHERE account_id = :account_id AND code_hash = :code_hash;

-- name: count_recovery_codes
-- How many are left.
SELECT count(*) FROM recovery_codes WHERE account_id = :account_id;
