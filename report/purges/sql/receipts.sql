-- name: receipts
-- Receipts, newest first, and how many there are on all pages, also where this page has none. NULL asks for everything:
-- $matter; $due, a deadline counted from before it has passed, as from behind $ahead; $behind, the last matter of the
-- page before; $rows of a page.
WITH found AS (
    SELECT p.*, coalesce(t.waiting, 0) AS tombstones_waiting, t.oldest AS oldest_tombstone_at
    FROM purges p
    LEFT JOIN (
        SELECT matter_id, count(*) AS waiting, min(since) AS oldest FROM tombstones GROUP BY matter_id
    ) t ON t.matter_id = p.matter_id
    WHERE ($matter IS NULL OR p.matter_id = $matter)
        AND ($due IS NULL OR (
            greatest(p.purged_at, t.oldest) NOT BETWEEN $due::TIMESTAMP AND $ahead::TIMESTAMP
            AND (p.extracts_erased_at IS NULL OR p.topic_tombstoned_at IS NULL OR p.topic_erased_at IS NULL
                OR p.file_erased_at IS NULL OR p.snapshots_erased_at IS NULL)
        ))
), page AS (
    SELECT f.* FROM found f LEFT JOIN purges b ON b.matter_id = $behind
    WHERE $behind IS NULL OR f.purged_at < b.purged_at OR (f.purged_at = b.purged_at AND f.matter_id > b.matter_id)
    ORDER BY f.purged_at DESC, f.matter_id
    LIMIT $rows
)
SELECT page.*, total, kafka_partition AS partition, kafka_offset AS offset, out_of_reach AS records_out_of_reach,
    recalled_at IS NOT NULL AS recall_complete, purged_at AS table, purged_at AS dead_letters,
    extracts_erased_at AS kept_extracts, topic_tombstoned_at AS tombstones, topic_erased_at AS topic,
    file_erased_at AS file, snapshots_erased_at AS snapshots
FROM (SELECT count(*) AS total FROM found) counted LEFT JOIN page ON TRUE
ORDER BY page.purged_at DESC, page.matter_id;

-- name: recalls
-- The files that were handed out and held rows of the deleted $matters, oldest first.
SELECT r.matter_id, e.extract_id, e.made_at, e.made_by, e.how, e.name, e.sha256, r.rows
FROM recalls r
JOIN recalled_extracts e ON e.extract_id = r.extract_id
WHERE list_contains($matters, r.matter_id)
ORDER BY e.made_at, e.extract_id;

-- name: kept_in
-- What the log is kept in: a database file of DuckDB, or a lake.
SELECT type FROM duckdb_databases() WHERE database_name = current_database();
