-- name: counts
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

-- name: positions
-- The Kafka position of each partition.
SELECT topic, kafka_partition AS partition, next_offset FROM positions ORDER BY topic, kafka_partition;

-- name: unfinished_recoveries
-- Recoveries whose deletions are not all applied yet.
SELECT recovered_at FROM recoveries WHERE deletions_read_at IS NULL;
