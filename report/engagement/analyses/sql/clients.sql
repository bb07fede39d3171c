-- name: parties
-- Common table expressions: the identities of guests, each with its client. An identity is the company and the e-mail
-- address in a guest's views. Views without a company belong to the guest's latest known one, else to a domain.
public_mail AS (SELECT unnest($mail_domains::VARCHAR[]) AS domain, unnest($mail_providers::VARCHAR[]) AS provider),
identities AS (
    SELECT
        user_id,
        user_company_id,
        user_company_name,
        user_email,
        coalesce(user_company_id, nullif(user_company_name, '')) AS own_company,
        lower(string_split(user_email, '@')[-1]) AS domain,
        min(matter_viewed_at) AS first_view_at,
        max(matter_viewed_at) AS last_view_at
    FROM activity
    WHERE {chosen}
    GROUP BY user_id, user_company_id, user_company_name, user_email
),
latest_company AS (
    SELECT user_id, arg_max(own_company, last_view_at) AS company
    FROM identities
    WHERE own_company IS NOT NULL
    GROUP BY user_id
),
parties AS (
    SELECT
        identities.*,
        CASE
            WHEN coalesce(own_company, company) IS NOT NULL THEN 'company'
            WHEN provider IS NOT NULL THEN 'public mail'
            ELSE 'domain'
        END AS client_kind,
        coalesce(own_company, company, provider, domain) AS client_id
    FROM identities
    LEFT JOIN latest_company USING (user_id)
    LEFT JOIN public_mail USING (domain)
)

-- name: clients
-- One row for each known client, and one for each expected client that never came.
WITH {views},
{parties},
known AS (
    SELECT
        client_kind,
        client_id,
        count(DISTINCT user_id) AS people_known,
        min(first_view_at) AS first_view_at,
        max(last_view_at) AS last_view_at,
        list(DISTINCT domain) AS domains
    FROM parties
    GROUP BY client_kind, client_id
),
company_names AS (
    SELECT
        coalesce(user_company_id, user_company_name) AS client_id,
        arg_max(user_company_name, (matter_viewed_at, event_id)) AS company_name
    FROM activity
    WHERE {named} AND user_type = 'Guest' AND user_company_name <> ''
    GROUP BY client_id
),
counted AS (
    SELECT
        client_kind,
        client_id,
        count(*) FILTER (inside) AS views,
        count(*) FILTER (inside AND begins_visit) AS visits,
        count(DISTINCT matter_code) FILTER (inside) AS matters,
        count(DISTINCT user_code) FILTER (inside) AS people,
        count(*) FILTER (earlier AND begins_visit) AS visits_before
    FROM views
    JOIN parties
        ON user_code = {user}
        AND last_view_at >= $scan_since
        AND views.user_company_id IS NOT DISTINCT FROM parties.user_company_id
        AND views.user_company_name IS NOT DISTINCT FROM parties.user_company_name
        AND views.user_email = parties.user_email
    GROUP BY client_kind, client_id
),
came AS (
    SELECT
        client_kind,
        client_id,
        CASE client_kind
            WHEN 'company' THEN coalesce(company_name, client_id)
            WHEN 'public mail' THEN 'public mail: ' || client_id
            ELSE client_id
        END AS client_name,
        coalesce(COLUMNS(counted.* EXCLUDE (client_kind, client_id)), 0),
        people_known,
        first_view_at,
        last_view_at,
        domains
    FROM known
    LEFT JOIN company_names USING (client_id)
    LEFT JOIN counted USING (client_kind, client_id)
),
never_came AS (
    SELECT DISTINCT unnest($expected::VARCHAR[]) AS expected
    EXCEPT
    SELECT expected
    FROM (SELECT unnest($expected::VARCHAR[]) AS expected)
    JOIN came ON {expected} IN ({id}, {name}) OR list_contains(domains, {expected})
)
SELECT
    client_kind,
    client_id AS "client_ID",
    client_name,
    views,
    visits,
    matters,
    people,
    people_known,
    people / people_known AS reach,
    first_view_at,
    last_view_at,
    {trend},
    CASE
        WHEN $before_since::TIMESTAMP IS NULL THEN NULL
        WHEN views = 0 THEN 'gone quiet'
        WHEN visits <= visits_before / 2
            AND sqrt(2) * (sqrt(visits_before + 0.375) - sqrt(visits + 0.375)) >= 1.645 THEN 'cooling'
        ELSE 'active'
    END AS health
FROM came
UNION ALL
SELECT
    'expected', expected, expected, 0, 0, 0, 0, 0, NULL, NULL, NULL,
    CASE WHEN $before_since::TIMESTAMP IS NOT NULL THEN 0 END, NULL, 'never came'
FROM never_came
ORDER BY visits DESC, views DESC, last_view_at DESC NULLS LAST, client_kind, "client_ID";

-- name: candidates
-- A condition: the views of all guests who may be people of a client.
user_type = 'Guest' AND user_id IN (
    SELECT user_id FROM activity
    WHERE user_type = 'Guest' AND CASE $kind
        WHEN 'company' THEN coalesce(user_company_id, user_company_name) = $client
        ELSE ends_with(lower(user_email), '@' || $client)
    END
)

-- name: people
-- The people of a client, and whether its company's ID selects the client's views and no others.
WITH {parties}
SELECT list(DISTINCT user_id), bool_and(user_company_id IS NOT DISTINCT FROM $client)
FROM parties
WHERE client_kind = $kind AND client_id = $client;
