-- name: read
-- Read the log, and the tables that DuckLake makes later.
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA public, matterlog TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA public, matterlog TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA public, matterlog GRANT SELECT ON TABLES TO {role}

-- name: record_extracts
-- Record what is handed out. The entry comes before the file, is completed, and withdrawn where the file fails.
GRANT INSERT, UPDATE, DELETE ON matterlog.extracts TO {role}

-- name: change
-- Change the log, but erase nothing.
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT, UPDATE, DELETE ON TABLES TO {role}
