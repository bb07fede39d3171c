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
