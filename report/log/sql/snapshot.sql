-- name: log
-- Which log this is, and the number of the last transaction that changed it.
SELECT log_id, last_arrival FROM log;

-- name: positions
-- The Kafka position of each partition.
SELECT topic, kafka_partition AS partition, next_offset FROM positions ORDER BY topic, kafka_partition;

-- name: dead_letters
-- How many dead letters there are.
SELECT count(*) FROM dead_letters;

-- name: gaps
-- The records that expired from a topic before they were read.
SELECT topic, kafka_partition AS partition, first_missing, next_available, strftime(found_at, '%Y-%m-%dT%H:%M:%S.%fZ') AS found_at
FROM gaps ORDER BY topic, kafka_partition, first_missing;

-- name: purges_since
-- The matters that were purged after a transaction and lost rows by it.
SELECT matter_id, strftime(purged_at, '%Y-%m-%dT%H:%M:%S.%fZ') AS purged_at, views_purged, arrival
FROM purges WHERE arrival > $arrival AND views_purged > 0
ORDER BY arrival, matter_id;

-- name: is_recalled
-- Whether a recorded extract held rows of a matter that was purged since. Where a purge could not ask the register, within
-- a minute, it may have.
SELECT EXISTS (FROM recalls WHERE extract_id = $extract_id::UUID) OR EXISTS (
    FROM purges
    WHERE arrival > $arrival AND views_purged > 0 AND recalled_at IS NULL
        AND purged_at < (now() AT TIME ZONE 'UTC') - INTERVAL 1 MINUTE
        AND (len($matters) = 0 OR list_contains($matters, matter_id))
);

-- name: recalls_of
-- Of some purged matters: whether the recall list is complete, and whether it has an extract.
SELECT p.recalled_at IS NOT NULL AS is_complete, r.extract_id IS NOT NULL AS is_listed
FROM purges p LEFT JOIN recalls r ON r.matter_id = p.matter_id AND r.extract_id = $extract_id::UUID
WHERE list_contains($matters, p.matter_id);

-- name: status
-- What the log holds.
SELECT
    (SELECT count(*) FROM activity) AS rows,
    (SELECT count(DISTINCT matter_id) FROM activity) AS matters,
    (SELECT count(*) FROM purges) AS deleted_matters,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM gaps) AS gaps,
    (SELECT count(*) FROM cuts) AS cut_partitions,
    (SELECT count(*) FROM database_only) AS database_only,
    (SELECT count(*) FROM recoveries) AS recoveries,
    (SELECT strftime(max(matter_viewed_at), '%Y-%m-%dT%H:%M:%S.%fZ') FROM activity) AS newest_view_at,
    (SELECT count(*) FROM tombstones) AS tombstones,
    (SELECT strftime(min(since), '%Y-%m-%dT%H:%M:%S.%fZ') FROM tombstones) AS oldest_tombstone_at,
    (SELECT count(*) FROM removals) AS removals,
    (SELECT strftime(min(removed_at), '%Y-%m-%dT%H:%M:%S.%fZ') FROM removals) AS oldest_removal_at;

-- name: unfinished_recoveries
-- Recoveries whose deletions are not all applied yet.
SELECT recovered_at FROM recoveries WHERE deletions_read_at IS NULL;
