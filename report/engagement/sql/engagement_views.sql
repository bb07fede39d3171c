-- name: chosen
-- A condition: the views that an extract of this filter would hold, from the log's beginning to the period's end.
{condition} AND ($include_demo OR matter_type <> 'demo')

-- name: guests
-- A condition: outside parties are the people who are not of the firm.
{chosen} AND user_type = 'Guest'

-- name: everything
-- A condition: every view of the log.
true

-- name: views
-- Common table expressions: the chosen views from $scan_since on, each with what the zone's clock showed, whether it
-- begins a visit, and whether it lies inside the period or in the period before (earlier). The scan begins 60 s too
-- early, so that the first views know whether they go on with a visit.
zone AS (
    SELECT
        unnest($zone_since::TIMESTAMP[]) AS since,
        unnest($zone_until::TIMESTAMP[]) AS until,
        unnest($zone_offsets::INTERVAL[]) AS utc_offset
),
gaps AS (
    SELECT {columns}, matter_viewed_at - lag(matter_viewed_at) OVER (
        PARTITION BY user_id, matter_id ORDER BY matter_viewed_at
    ) AS gap
    FROM activity
    WHERE matter_viewed_at >= $scan_since::TIMESTAMP - INTERVAL 60 SECONDS AND {chosen}
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

-- name: shown
-- Common table expressions: the latest names and types of each user or matter.
latest AS (
    SELECT {key}, max(matter_viewed_at) AS matter_viewed_at FROM activity WHERE {named} GROUP BY {key}
),
shown AS (
    SELECT {key}, arg_max(struct_pack({fields}), event_id) AS shown
    FROM activity
    JOIN latest USING ({key}, matter_viewed_at)
    WHERE {named}
    GROUP BY {key}
)

-- name: trend
-- Columns: the visits of the period before, and how much those of the period are above them.
CASE WHEN $before_since::TIMESTAMP IS NOT NULL THEN coalesce(visits_before, 0) END AS visits_before,
    CASE WHEN visits_before > 0 THEN visits / visits_before - 1 END AS trend

-- name: bucket
-- The first day of a view's bucket. Where clocks once went back over midnight, a day's last hour comes after the next
-- day's beginning, with which a period may begin: it counts there.
greatest(date_trunc('{by}', local)::DATE, ($begins_on::DATE[])[1])

-- name: first_view
-- The first of the chosen views.
SELECT min(matter_viewed_at) FROM activity WHERE {chosen};

-- name: log
-- What the log holds as a whole, and the demo views that the period leaves out.
SELECT
    count(*) AS log_views,
    min(matter_viewed_at) AS log_since,
    max(matter_viewed_at) AS log_until,
    count(*) FILTER (
        NOT $include_demo AND matter_type = 'demo' AND matter_viewed_at >= $period_since AND matter_viewed_at < $until
    ) AS demo_views_left_out
FROM activity;
