-- name: database_only
-- What the log holds and the topics do not, and how many partitions wait to be read again, or are being read.
SELECT
    (SELECT count(*) FROM database_only d WHERE event_id IS NOT NULL AND event_id NOT IN (SELECT event_id FROM purges)),
    (SELECT count(*) FROM database_only WHERE event_id IN (SELECT event_id FROM purges)),
    (SELECT count(*) FROM database_only WHERE event_id IS NULL),
    (SELECT count(*) FROM cuts WHERE reread_until IS NULL),
    (SELECT count(*) FROM cuts WHERE reread_until IS NOT NULL);

-- name: last_database_only
-- Which log this is, and a transaction by which it held all that only the log holds.
SELECT log_id, greatest((SELECT max(arrival) FROM database_only), (SELECT max(arrival) FROM cuts), 0) FROM log;

-- name: gaps
-- Offsets that the log never had, since they had expired before they were read.
SELECT topic, kafka_partition, first_missing, next_available FROM gaps ORDER BY ALL;
