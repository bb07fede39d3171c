-- name: asked
-- A condition: the views in an extract with this filter, from the log's beginning to the period's end.
{condition} AND (NOT $of_guests OR user_type = 'Guest')
    AND ($people::VARCHAR[] IS NULL OR user_id IN (SELECT unnest($people::VARCHAR[])))

-- name: chosen
-- A condition: those of them that count.
{asked} AND ($include_demo OR matter_type <> 'demo')

-- name: scanned
-- A condition: the chosen views from 60 s before $scan_since on, to tell whether the first ones continue a visit.
matter_viewed_at >= $scan_since::TIMESTAMP - INTERVAL 60 SECONDS AND {chosen}

-- name: exact
-- Whether each user and each matter of the scanned views has a code of its own.
SELECT count(*) = count(DISTINCT {code})
FROM (
    SELECT DISTINCT user_id AS id FROM activity WHERE {scanned}
    UNION
    SELECT DISTINCT matter_id FROM activity WHERE {scanned}
);

-- name: views
-- Common table expressions: the chosen views from $scan_since on, each with its wall time, whether it begins a visit,
-- and whether it is in the period (inside) or in the period before (earlier).
zone AS (
    SELECT
        unnest($zone_since::TIMESTAMP[]) AS since,
        unnest($zone_until::TIMESTAMP[]) AS until,
        unnest($zone_offsets::INTERVAL[]) AS utc_offset
),
gaps AS (
    SELECT *, matter_viewed_at - lag(matter_viewed_at) OVER (
        PARTITION BY user_code, matter_code ORDER BY matter_viewed_at
    ) AS gap
    FROM (SELECT {user} AS user_code, {matter} AS matter_code, {columns} FROM activity WHERE {scanned})
),
views AS (
    SELECT
        gaps.* EXCLUDE gap,
        $raw_views OR gap IS NULL OR gap > INTERVAL 60 SECONDS AS begins_visit,
        matter_viewed_at + utc_offset AS local,
        matter_viewed_at >= $period_since AS inside,
        coalesce(matter_viewed_at >= $before_since::TIMESTAMP AND matter_viewed_at < $period_since, false) AS earlier
    FROM gaps
    JOIN zone ON matter_viewed_at >= zone.since AND matter_viewed_at < zone.until
    WHERE matter_viewed_at >= $scan_since
)

-- name: known
-- Common table expressions: each known user or matter, with its code if it has views to be counted, and with its latest
-- names and types.
known AS (
    SELECT
        {key},
        min(CASE WHEN {chosen} THEN matter_viewed_at END) AS first_view_at,
        max(CASE WHEN {chosen} THEN matter_viewed_at END) AS last_view_at,
        max(CASE WHEN {named} THEN matter_viewed_at END) AS matter_viewed_at,
        CASE WHEN last_view_at >= $scan_since THEN {code} END AS code
    FROM activity
    GROUP BY {key}
    HAVING last_view_at IS NOT NULL
),
shown AS (
    SELECT {key}, arg_max(struct_pack({fields}), event_id) AS shown
    FROM activity
    JOIN known USING ({key}, matter_viewed_at)
    WHERE {named}
    GROUP BY {key}
)

-- name: trend
-- Columns: the visits of the period before, and by how much those of the period exceed them.
CASE WHEN $before_since::TIMESTAMP IS NOT NULL THEN coalesce(visits_before, 0) END AS visits_before,
    CASE WHEN visits_before > 0 THEN visits / visits_before - 1 END AS trend

-- name: bucket
-- The first day of a view's bucket. Where clocks once went back over midnight, a day's last hour comes after the
-- beginning of the next day. If the period begins with that next day, the hour counts there.
greatest(date_trunc('{by}', local)::DATE, ($begins_on::DATE[])[1])

-- name: matters
-- How many matters are known.
SELECT count(DISTINCT matter_id) FROM activity WHERE {chosen};

-- name: first_view
-- The first of the chosen views.
SELECT min(matter_viewed_at) FROM activity WHERE {chosen};

-- name: log
-- What the whole log holds, and how many views are not counted: those of demo matters, and those later than today.
SELECT
    count(*) AS log_views,
    min(matter_viewed_at) AS log_since,
    max(matter_viewed_at) AS log_until,
    (
        SELECT count(*) FROM activity WHERE NOT $include_demo AND matter_type = 'demo'
            AND matter_viewed_at >= $period_since AND {asked}
    ) AS demo_views_left_out,
    (
        SELECT count(*) FROM activity
        WHERE matter_viewed_at >= $until AND ($asked_until::TIMESTAMP IS NULL OR matter_viewed_at < $asked_until)
    ) AS later_views_left_out
FROM activity;
