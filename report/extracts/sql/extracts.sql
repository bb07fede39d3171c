-- name: rows
-- The rows of an extract, by time; rows of the same instant by event ID.
SELECT {columns}
FROM activity
WHERE {condition}
ORDER BY activity.matter_viewed_at, activity.event_id

-- name: condition
-- A condition: the rows of the filter; for an increment only those that arrived since.
($since::TIMESTAMP IS NULL OR matter_viewed_at >= $since)
    AND ($until::TIMESTAMP IS NULL OR matter_viewed_at < $until)
    AND ($matters::VARCHAR[] IS NULL OR list_contains($matters, matter_id))
    AND ($users::VARCHAR[] IS NULL OR list_contains($users, user_id))
    AND ($user_types::VARCHAR[] IS NULL OR list_contains($user_types, user_type::VARCHAR))
    AND ($matter_types::VARCHAR[] IS NULL OR list_contains($matter_types, matter_type::VARCHAR))
    AND ($companies::VARCHAR[] IS NULL OR list_contains($companies, user_company_id))
    AND ($arrived_after::BIGINT IS NULL OR arrival > $arrived_after)

-- name: count
-- How many rows an extract has.
SELECT count(*) FROM activity WHERE {condition}

-- name: first
-- The first rows, for a preview.
{rows}
LIMIT $limit

-- name: instant
-- An instant in UTC, to the microsecond, as text.
strftime({field}, '%Y-%m-%dT%H:%M:%S.%fZ')

-- name: held
-- Which of some matters have rows in an extract.
SELECT DISTINCT matter_id FROM activity WHERE list_contains($held, matter_id) AND {condition};
