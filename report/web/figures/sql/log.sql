-- name: counts
-- Counts of the log's tables, which are cheap to read.
SELECT
    (SELECT count(*) FROM activity) AS rows,
    (SELECT count(*) FROM purges) AS purges,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM gaps) AS gaps,
    (SELECT count(*) FROM tombstones) AS tombstones,
    (SELECT count(*) FROM removals) AS removals,
    (SELECT min(removed_at) FROM removals) AS oldest_removal_at;

-- name: purges
-- The newest receipts of deletions.
SELECT matter_id, deleted_at, purged_at, topic_erased_at, file_erased_at, views_purged, views_refused
FROM purges
ORDER BY purged_at DESC, matter_id
LIMIT $limit;

-- name: dead_letters
-- The newest dead letters, without their content.
SELECT topic || ':' || kafka_partition || ':' || kafka_offset AS place, error_kind, error_detail, kept_at
FROM dead_letters
ORDER BY kept_at DESC, topic, kafka_partition, kafka_offset
LIMIT $limit;

-- name: gaps
-- Ranges of offsets that Kafka removed before they were read.
SELECT topic, kafka_partition, first_missing, next_available, found_at
FROM gaps
ORDER BY found_at DESC, topic, kafka_partition;

-- name: last_days
-- Figures of a period and of the period before it, without demo matters.
SELECT
    count(*) FILTER (inside) AS views,
    count(*) FILTER (NOT inside) AS views_before,
    count(DISTINCT user_id) FILTER (inside) AS users,
    count(DISTINCT user_id) FILTER (NOT inside) AS users_before,
    count(DISTINCT matter_id) FILTER (inside) AS matters,
    count(DISTINCT matter_id) FILTER (NOT inside) AS matters_before
FROM (
    SELECT user_id, matter_id, matter_viewed_at >= $since AS inside
    FROM activity
    WHERE matter_viewed_at >= $before_since AND matter_viewed_at < $until AND matter_type <> 'demo'
);

-- name: called
-- The latest name of one matter, user or company, and a matter's type or a user's e-mail address.
SELECT
    CASE $kind WHEN 'matter' THEN matter_name WHEN 'user' THEN user_name ELSE user_company_name END AS name,
    CASE $kind WHEN 'matter' THEN matter_type::VARCHAR WHEN 'user' THEN user_email END AS more
FROM activity
WHERE CASE $kind WHEN 'matter' THEN matter_id WHEN 'user' THEN user_id ELSE user_company_id END = $id
ORDER BY name IS NULL, matter_viewed_at DESC, event_id DESC
LIMIT 1;

-- name: newest_view
-- When a matter was last viewed.
SELECT max(matter_viewed_at) AS at FROM activity;
