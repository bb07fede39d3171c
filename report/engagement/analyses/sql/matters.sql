-- name: matters
-- One row for each known matter. Week 0 ends at the period's end; it is compared with weeks 1 to 12 before it.
WITH {views},
{known},
people AS (
    SELECT
        matter_code,
        user_code,
        count(*) FILTER (inside) AS views,
        count(*) FILTER (inside AND begins_visit AND user_type = 'Member') AS member_visits,
        count(*) FILTER (inside AND begins_visit AND user_type = 'Guest') AS guest_visits,
        count(*) FILTER (earlier AND begins_visit) AS visits_before,
        arg_max(user_type, matter_viewed_at) FILTER (inside) AS user_type
    FROM views
    GROUP BY matter_code, user_code
),
counted AS (
    SELECT
        matter_code,
        sum(views) AS views,
        sum(member_visits) AS member_visits,
        sum(guest_visits) AS guest_visits,
        count(*) FILTER (user_type = 'Member') AS members,
        count(*) FILTER (user_type = 'Guest') AS guests,
        sum(visits_before) AS visits_before
    FROM people
    GROUP BY matter_code
),
days AS (
    SELECT matter_code, local::DATE AS busiest_day
    FROM views
    WHERE inside AND begins_visit
    GROUP BY matter_code, busiest_day
    QUALIFY row_number() OVER (PARTITION BY matter_code ORDER BY count(*) DESC, busiest_day) = 1
),
hours AS (
    SELECT matter_code, hour(local) AS busiest_hour
    FROM views
    WHERE inside AND begins_visit
    GROUP BY matter_code, busiest_hour
    QUALIFY row_number() OVER (PARTITION BY matter_code ORDER BY count(*) DESC, busiest_hour) = 1
),
weekly AS (
    SELECT matter_code, {week_of_view} AS week, count(*) AS visits
    FROM views
    WHERE begins_visit AND local >= $until_local::TIMESTAMP - INTERVAL 13 WEEKS
    GROUP BY matter_code, week
),
lately AS (
    SELECT
        known.*,
        coalesce(sum(visits) FILTER (week = 0), 0) AS week_visits,
        coalesce(sum(visits) FILTER (week < 4), 0) AS four_weeks_visits
    FROM known
    LEFT JOIN weekly ON matter_code = code
    GROUP BY ALL
),
-- The whole weeks since the matter's first view, at most twelve, also without visits.
compared AS (
    SELECT matter_id, week, coalesce(visits, 0) AS visits
    FROM (
        SELECT matter_id, code AS matter_code, unnest(range(1, least(12, {week_of_first_view} - 1) + 1)) AS week
        FROM known
        JOIN zone ON first_view_at >= zone.since AND first_view_at < zone.until
    )
    LEFT JOIN weekly USING (matter_code, week)
),
middle AS (
    SELECT matter_id, count(*) AS weeks, median(visits) AS usual_week FROM compared GROUP BY matter_id HAVING weeks >= 4
),
-- To the power of 2/3 Poisson counts are nearly normal, with a deviation of 2/3 * mean ** (1/6).
spread AS (
    SELECT
        matter_id,
        weeks,
        usual_week,
        greatest(usual_week, 0.5) AS expected,
        sqrt(1 + pi() / (2 * weeks)) * greatest(
            1.4826 * median(abs(pow(visits, 2 / 3) - pow(usual_week, 2 / 3))), 2 / 3 * pow(expected, 1 / 6)
        ) AS deviation
    FROM compared
    JOIN middle USING (matter_id)
    GROUP BY matter_id, weeks, usual_week
),
-- Half a visit nearer to the expected number: the continuity correction for whole counts.
scored AS (
    SELECT
        lately.*,
        usual_week,
        CASE
            WHEN abs(week_visits - expected) <= 0.5 THEN 0
            ELSE (pow(week_visits - 0.5 * sign(week_visits - expected), 2 / 3) - pow(expected, 2 / 3)) / deviation
        END AS score
    FROM lately
    LEFT JOIN spread USING (matter_id)
)
SELECT
    matter_id AS "matter_ID",
    shown.matter_name,
    shown.matter_type::VARCHAR AS matter_type,
    coalesce(counted.views, 0) AS views,
    coalesce(member_visits + guest_visits, 0) AS visits,
    coalesce(member_visits, 0) AS member_visits,
    coalesce(guest_visits, 0) AS guest_visits,
    coalesce(members + guests, 0) AS people,
    coalesce(members, 0) AS members,
    coalesce(guests, 0) AS guests,
    first_view_at,
    last_view_at,
    busiest_day,
    busiest_hour,
    {trend},
    week_visits,
    usual_week,
    score,
    CASE
        WHEN four_weeks_visits = 0 THEN 'quiet'
        WHEN score IS NULL THEN 'new'
        WHEN score >= 3.5 THEN 'bursting'
        WHEN score >= 2 THEN 'busy'
        WHEN score <= -2 THEN 'quiet'
        ELSE 'normal'
    END AS mark
FROM scored
JOIN shown USING (matter_id)
LEFT JOIN counted ON counted.matter_code = code
LEFT JOIN days ON days.matter_code = code
LEFT JOIN hours ON hours.matter_code = code
ORDER BY visits DESC, views DESC, last_view_at DESC, matter_id;

-- name: week
-- The week of a wall time: 0 for the last 7 days before the period's end, 1 for the 7 days before them.
greatest(epoch_us($until_local::TIMESTAMP) - epoch_us({local}) - 1, 0) // 604800000000

-- name: matter_activity
-- One row for each known matter and bucket of the period.
WITH {views},
{known},
calendar AS (SELECT unnest($begins_on::DATE[]) AS begins_on),
counted AS (
    SELECT
        matter_code,
        {bucket} AS begins_on,
        count(*) AS views,
        count(*) FILTER (begins_visit) AS visits,
        count(*) FILTER (begins_visit AND user_type = 'Member') AS member_visits,
        count(*) FILTER (begins_visit AND user_type = 'Guest') AS guest_visits
    FROM views
    WHERE inside
    GROUP BY ALL
)
SELECT
    matter_id AS "matter_ID",
    shown.matter_name,
    calendar.begins_on,
    coalesce(COLUMNS(counted.* EXCLUDE (matter_code, begins_on)), 0)
FROM known
JOIN shown USING (matter_id)
CROSS JOIN calendar
LEFT JOIN counted ON matter_code = code AND counted.begins_on = calendar.begins_on
ORDER BY matter_id, calendar.begins_on;
