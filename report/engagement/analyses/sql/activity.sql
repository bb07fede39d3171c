-- name: activity
-- One row for each bucket of the period, with zeros where nobody came.
WITH {views},
calendar AS (
    SELECT unnest($begins_on::DATE[]) AS begins_on, unnest($hours::DOUBLE[]) AS hours
),
counted AS (
    SELECT
        {bucket} AS begins_on,
        count(*) AS views,
        count(*) FILTER (begins_visit) AS visits,
        count(*) FILTER (begins_visit AND user_type = 'Member') AS member_visits,
        count(*) FILTER (begins_visit AND user_type = 'Guest') AS guest_visits,
        count(DISTINCT user_code) AS people,
        count(DISTINCT matter_code) AS matters
    FROM views
    WHERE inside
    GROUP BY ALL
)
SELECT
    begins_on,
    hours,
    coalesce(COLUMNS(counted.* EXCLUDE begins_on), 0)
FROM calendar
LEFT JOIN counted USING (begins_on)
ORDER BY begins_on;

-- name: weekday_hours
-- One row for each hour of the week.
WITH {views},
counted AS (
    SELECT
        isodow(local) AS weekday,
        hour(local) AS hour,
        count(*) AS views,
        count(*) FILTER (begins_visit) AS visits,
        count(*) FILTER (begins_visit AND user_type = 'Member') AS member_visits,
        count(*) FILTER (begins_visit AND user_type = 'Guest') AS guest_visits
    FROM views
    WHERE inside
    GROUP BY ALL
)
SELECT
    weekday,
    hour,
    coalesce(COLUMNS(counted.* EXCLUDE (weekday, hour)), 0)
FROM range(1, 8) weekdays(weekday)
CROSS JOIN range(24) hours(hour)
LEFT JOIN counted USING (weekday, hour)
ORDER BY weekday, hour;
