-- name: views_between
-- How many views the log holds from these offsets of a partition.
SELECT count(*) FROM activity
WHERE kafka_partition = $partition AND kafka_offset >= $first AND kafka_offset < $next;

-- name: deletions_between
-- How many deletions the log knows from these offsets of a partition.
SELECT count(*) FROM purges
WHERE kafka_partition = $partition AND kafka_offset >= $first AND kafka_offset < $next;

-- name: alone
-- Whether the log holds anything of which it is not known that the topics have it.
SELECT EXISTS (FROM database_only) OR EXISTS (FROM cuts);
