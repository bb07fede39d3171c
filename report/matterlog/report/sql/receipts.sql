-- name: receipts
-- What each deletion did, the newest first; $matter NULL for all.
SELECT p.*, coalesce(t.waiting, 0) AS tombstones_waiting, t.oldest AS oldest_tombstone_at
FROM purges p
LEFT JOIN (
    SELECT matter_id, count(*) AS waiting, min(since) AS oldest FROM tombstones GROUP BY matter_id
) t ON t.matter_id = p.matter_id
WHERE $matter IS NULL OR p.matter_id = $matter
ORDER BY p.purged_at DESC, p.matter_id;
