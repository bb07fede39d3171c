-- name: keep
-- What an extract that was downloaded holds.
INSERT INTO manifests (extract_id, account_id, manifest) VALUES (:extract_id, :account_id, :manifest);

-- name: find
-- The manifest of an extract, for the account that was given it.
SELECT manifest FROM manifests WHERE extract_id = :extract_id AND account_id = :account_id;
