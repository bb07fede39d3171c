-- name: held
-- How many rows of some matters were in extracts that have the same filter except for its times. If an extract's times
-- include all of these rows, they are counted by sums over the arrivals, otherwise row by row.
WITH purged AS (
    SELECT matter_id, matter_viewed_at, arrival FROM activity
    WHERE list_contains($purged, matter_id) AND {condition}
),
span AS (SELECT min(matter_viewed_at) AS first_view, max(matter_viewed_at) AS last_view FROM purged),
extracts AS (
    SELECT e.*, (e.since IS NULL OR e.since <= first_view) AND (e.until IS NULL OR e.until > last_view) AS all_times
    FROM incoming_extracts e, span
),
sums AS (
    SELECT matter_id, arrival, sum(count(*)) OVER (PARTITION BY matter_id ORDER BY arrival) AS so_far
    FROM purged GROUP BY matter_id, arrival
),
pairs AS (
    SELECT e.extract_id, m.matter_id, e.last_arrival, coalesce(e.arrived_after, -1) AS arrived_after
    FROM extracts e, (SELECT DISTINCT matter_id FROM purged) m
    WHERE e.all_times
),
counted AS (
    SELECT p.extract_id, p.matter_id, coalesce(upto.so_far, 0) - coalesce(before.so_far, 0) AS rows
    FROM pairs p
    ASOF LEFT JOIN sums upto ON upto.matter_id = p.matter_id AND upto.arrival <= p.last_arrival
    ASOF LEFT JOIN sums before ON before.matter_id = p.matter_id AND before.arrival <= p.arrived_after
    UNION ALL
    SELECT e.extract_id, p.matter_id, count(*)
    FROM extracts e
    JOIN purged p ON p.arrival <= e.last_arrival AND p.arrival > coalesce(e.arrived_after, -1)
        AND p.matter_viewed_at >= coalesce(e.since, '-infinity') AND p.matter_viewed_at < coalesce(e.until, 'infinity')
    WHERE NOT e.all_times
    GROUP BY ALL
)
SELECT matter_id, extract_id, rows::BIGINT AS rows FROM counted WHERE rows > 0;
