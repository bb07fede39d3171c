-- name: only_reads
-- A row if this role may not change the lake that is there.
SELECT 1 WHERE NOT has_table_privilege(to_regclass('ducklake_snapshot'), 'INSERT')

-- name: missing
-- The rights that this role lacks to erase, each as what grants it.
SELECT format('GRANT %s TO %I', name, current_user)
FROM (VALUES ('pg_monitor'), ('pg_signal_backend'), ('pg_checkpoint')) granted (name)
WHERE NOT pg_has_role(current_user, name, 'USAGE')
UNION ALL
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', name, current_user)
FROM (VALUES ('pg_switch_wal()'), ('pg_ls_waldir()')) granted (name)
WHERE NOT has_function_privilege(name, 'EXECUTE')
UNION ALL
SELECT format('ALTER DATABASE %I OWNER TO %I', datname, current_user) FROM pg_database
WHERE datname = current_database() AND NOT pg_has_role(current_user, datdba, 'USAGE')
UNION ALL
SELECT format('ALTER TABLE %I.%I OWNER TO %I', schemaname, tablename, current_user) FROM pg_tables
WHERE schemaname IN ('public', 'matterlog') AND NOT pg_has_role(current_user, tableowner, 'USAGE')

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
