-- name: record_files
-- Record files that held rows of deleted matters, each once.
INSERT INTO recalled_extracts
SELECT extract_id::UUID, made_at, made_by, how, name, sha256 FROM incoming_files
WHERE extract_id::UUID NOT IN (SELECT extract_id FROM recalled_extracts);

-- name: record_rows
-- Record how many rows of each deleted matter they held.
INSERT INTO recalls SELECT matter_id, extract_id::UUID, rows FROM incoming_held;

-- name: complete
-- Record the deleted matters whose recall list is complete.
UPDATE purges SET recalled_at = $now, foreign_extracts = r.foreign_extracts
FROM incoming_recalled r
WHERE purges.matter_id = r.matter_id;
