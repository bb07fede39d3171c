-- name: users
-- One row for each known user.
WITH {views},
{known},
counted AS (
    SELECT
        user_code,
        count(*) FILTER (inside) AS views,
        count(*) FILTER (inside AND begins_visit) AS visits,
        count(DISTINCT matter_code) FILTER (inside) AS matters,
        count(DISTINCT local::DATE) FILTER (inside) AS active_days,
        count(*) FILTER (earlier AND begins_visit) AS visits_before
    FROM views
    GROUP BY user_code
)
SELECT
    user_id AS "user_ID",
    shown.user_name,
    shown.user_email,
    shown.user_type::VARCHAR AS user_type,
    coalesce(views, 0) AS views,
    coalesce(visits, 0) AS visits,
    coalesce(matters, 0) AS matters,
    coalesce(active_days, 0) AS active_days,
    first_view_at,
    last_view_at,
    $last_day::DATE - (last_view_at + utc_offset)::DATE AS days_quiet,
    {trend},
    CASE
        WHEN $before_since::TIMESTAMP IS NULL THEN NULL
        WHEN first_view_at >= $period_since THEN 'new'
        WHEN last_view_at >= $period_since THEN 'returning'
        WHEN last_view_at >= $before_since THEN 'gone quiet'
        ELSE 'long quiet'
    END AS status
FROM known
JOIN shown USING (user_id)
JOIN zone ON last_view_at >= zone.since AND last_view_at < zone.until
LEFT JOIN counted ON user_code = code
WHERE $quiet_for_days::BIGINT IS NULL OR days_quiet >= $quiet_for_days
ORDER BY visits DESC, views DESC, last_view_at DESC, user_id;
