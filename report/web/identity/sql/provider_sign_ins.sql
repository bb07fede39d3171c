-- name: start
-- Store a sign-in when a visitor is sent to the identity provider.
INSERT INTO provider_sign_ins (state_hash, visit_hash, nonce, code_verifier, started_at)
VALUES (:state_hash, :visit_hash, :nonce, :code_verifier, :now);

-- name: take
-- Take a sign-in when the visitor comes back. This works once.
DELETE FROM provider_sign_ins WHERE state_hash = :state_hash AND visit_hash = :visit_hash AND started_at > :old_since
RETURNING nonce, code_verifier;

-- name: sweep
-- Remove the sign-ins of visitors who did not come back in time.
DELETE FROM provider_sign_ins WHERE started_at <= :old_since;
