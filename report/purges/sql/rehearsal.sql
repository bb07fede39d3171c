-- name: counts
-- What a deletion of a matter would remove from the log, and when it was purged if it was.
SELECT
    (SELECT count(*) FROM activity WHERE matter_id = $matter) AS views,
    (SELECT count(*) FROM dead_letters WHERE matter_id = $matter) AS dead_letters,
    (SELECT count(*) FROM dead_letters WHERE matter_id IS NULL) AS dead_letters_of_nobody,
    (SELECT count(*) FROM activity WHERE matter_id = $matter)
        + (SELECT count(*) FROM dead_letters WHERE matter_id = $matter AND key IS NOT NULL) AS tombstones,
    (SELECT strftime(min(purged_at), '%Y-%m-%dT%H:%M:%S.%fZ') FROM purges WHERE matter_id = $matter) AS purged_at;
