-- name: keep
-- Store the manifest of an account's extract.
INSERT INTO manifests (extract_id, account_id, manifest) VALUES (:extract_id, :account_id, :manifest);

-- name: find
-- The manifest of an account's extract.
SELECT manifest FROM manifests WHERE extract_id = :extract_id AND account_id = :account_id;
