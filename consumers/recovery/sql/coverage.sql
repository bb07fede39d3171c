-- name: events_between
-- How many views or deletions the log holds from these offsets of a partition.
SELECT count(*) FROM {table}
WHERE kafka_partition = $partition AND kafka_offset >= $first AND kafka_offset < $next;

-- name: alone
-- Whether the log holds anything of which it is not known that the topics have it.
SELECT EXISTS (FROM database_only) OR EXISTS (FROM cuts);
