-- Rows as a register of version 1 has them.
INSERT INTO extracts (
    extract_id, made_at, made_by, how, name, format, columns, filter, rows, bytes, sha256, log_id, last_arrival,
    arrived_after, analysis
) VALUES
    ('018f0000-0000-7000-8000-0000000000ba', '2026-03-01T09:00:00.123456Z', 'a.silva', 'download', 'activity "x".csv', 'csv',
        '["user_ID", "matter_ID"]', '{"matters": ["m-77"]}', 12, 3456, '00', '018f0000-0000-7000-8000-00000000000a', 41,
        NULL, NULL),
    ('018f0000-0000-7000-8000-0000000000bb', '2026-03-01T10:00:00Z', 'cron', 'series', '/reports/o''hara.parquet', 'parquet',
        '["user"]', '{}', 7, 99, '11', '018f0000-0000-7000-8000-00000000000a', 42, 41, 'users');
