-- name: called
-- Users, matters and companies by a current or former name, e-mail address or ID, with the latest name of each. Names
-- that begin with the text come first, then those with the most views. Upper case, accents and kinds of blanks do not
-- matter in names.
WITH called AS (
    SELECT
        'user' AS kind,
        user_id AS id,
        user_name AS name,
        user_email AS more,
        user_email AS also,
        count(*) AS views,
        max(matter_viewed_at) AS last_view_at
    FROM activity
    GROUP BY user_id, user_name, user_email
    UNION ALL
    SELECT 'matter', matter_id, matter_name, matter_type::VARCHAR, NULL, count(*), max(matter_viewed_at)
    FROM activity
    GROUP BY matter_id, matter_name, matter_type
    UNION ALL
    SELECT 'company', user_company_id, user_company_name, NULL, NULL, count(*), max(matter_viewed_at)
    FROM activity
    WHERE user_company_id IS NOT NULL
    GROUP BY user_company_id, user_company_name
),
wanted AS (SELECT strip_accents({text}) AS text),
placed AS (SELECT *, strpos(strip_accents({name}), text) AS place FROM called, wanted),
found AS (
    SELECT
        kind,
        id,
        coalesce(arg_max(name, last_view_at), id) AS name,
        arg_max(more, last_view_at) AS more,
        sum(views)::BIGINT AS views,
        bool_or(coalesce(place, 0) > 0
            OR contains(strip_accents(lower(coalesce(also, ''))), text)
            OR id = $text) AS fits,
        coalesce(bool_or(place = 1), false) AS begins_so
    FROM placed
    GROUP BY kind, id
)
SELECT kind, id, name, more, views
FROM found
WHERE fits
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY begins_so DESC, views DESC, id) <= $most
ORDER BY kind DESC, begins_so DESC, views DESC, id;
