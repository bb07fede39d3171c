-- name: views
-- Views number $first up to, but not including, $last of $count, evenly over $span_us from $since_us. Each draws its
-- seat by weight. The event's ID is a version-7 UUID of the view's millisecond. A view depends only on its number.
WITH drawn AS (
    SELECT i AS number, make_timestamp($since_us + i * ($span_us // $count)) AS matter_viewed_at,
        hash(i, 'seat') / 18446744073709551616.0 AS edge, md5('view ' || i) AS digits
    FROM range($first, $last) AS numbers (i)
)
SELECT format('{:08x}-{:04x}-7{}-8{}-{}', epoch_ms(matter_viewed_at) // 65536, epoch_ms(matter_viewed_at) % 65536,
        digits[1:3], digits[4:6], digits[7:18]) AS event_id,
    {fields}
FROM drawn ASOF JOIN seats ON drawn.edge >= seats.edge
ORDER BY number;

-- name: insert
-- Insert views into the activity table, as if a transaction before all others had stored them.
INSERT INTO activity BY NAME
SELECT * REPLACE (event_id::UUID AS event_id), row_number() OVER () % 6 AS kafka_partition,
    row_number() OVER () AS kafka_offset, 0 AS arrival
FROM incoming_views;

-- name: report
-- The rows of the default extract, without its guard against formulas.
SELECT user_id AS "user_ID", user_name, user_email, user_type, matter_viewed_at, matter_id AS "matter_ID", matter_name,
    matter_type
FROM activity ORDER BY activity.matter_viewed_at, activity.event_id

-- name: copy
-- The same rows, written to a file by DuckDB.
COPY (
    SELECT user_id AS "user_ID", user_name, user_email, user_type, matter_viewed_at, matter_id AS "matter_ID",
        matter_name, matter_type
    FROM activity ORDER BY activity.matter_viewed_at, activity.event_id
) TO '{target}' ({options});

-- name: middling_matters
-- Matters with about the median number of views.
SELECT matter_id FROM activity GROUP BY matter_id
ORDER BY
    abs(count(*) - (SELECT median(views) FROM (SELECT count(*) AS views FROM activity GROUP BY matter_id))), matter_id
LIMIT $number;

-- name: delete
-- A bare DELETE.
DELETE FROM activity WHERE matter_id IN (SELECT unnest($matters));
