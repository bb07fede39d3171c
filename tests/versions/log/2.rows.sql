-- Rows as a log of version 2 has them: every table, every kind of value, what may be NULL once with and once without.
INSERT INTO activity (
    event_id, user_id, user_name, user_email, user_type, matter_viewed_at, matter_id, matter_name, matter_type,
    user_company_id, user_company_name, user_member_office_id, user_member_office_name,
    user_member_office_location_name, user_member_office_location_iso2, kafka_partition, kafka_offset, arrival
)
SELECT
    ('018f0000-0000-7000-8000-' || lpad(n::VARCHAR, 12, '0'))::UUID, 'u-' || n % 7, 'Zoë "O''Hara" 弁護士' || chr(10) || n,
    'zoe@example.com', if(n % 2 = 0, 'Guest', 'Member')::user_type,
    TIMESTAMP '2026-03-01 12:00:00.678901' + to_minutes(n), 'm-' || n % 5, if(n % 5 = 0, '', 'Project ' || n % 5),
    if(n % 5 = 1, 'demo', 'live')::matter_type, if(n % 3 = 0, NULL, 'c-1'), if(n % 3 = 0, NULL, ''),
    if(n % 3 = 1, NULL, 'o-1'), if(n % 3 = 1, NULL, 'Zürich'), if(n % 3 = 2, NULL, 'Zürich'),
    if(n % 3 = 2, NULL, 'CH'), n % 3, n, 1 + n // 1000
FROM range(3000) r (n);

INSERT INTO purges (
    matter_id, event_id, deleted_at, kafka_partition, kafka_offset, purged_at, views_purged, views_refused,
    dead_letters_purged, arrival, out_of_reach, recalled_at, foreign_extracts, extracts_erased_at, topic_tombstoned_at,
    topic_erased_at, file_erased_at, snapshots_erased_at
) VALUES
    ('m-77', '018f0000-0000-7000-8000-0000000000aa', '2026-03-02 10:00:00.000001', 0, 5, '2026-03-02 10:00:01', 12, 3, 1, 2,
        0, '2026-03-02 10:00:02', 1, '2026-03-02 10:00:03', '2026-03-02 10:00:04', '2026-03-02 10:00:05',
        '2026-03-02 10:00:06', '2026-03-02 10:00:07'),
    ('m-78', '018f0000-0000-7000-8000-0000000000ab', '2026-03-03 10:00:00', 1, 6, '2026-03-03 10:00:01', 0, 0, 0, 3, 2, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO recalled_extracts (extract_id, made_at, made_by, how, name, sha256) VALUES
    ('018f0000-0000-7000-8000-0000000000ba', '2026-03-01 09:00:00', 'a.silva', 'download', 'activity "x".csv', repeat('0', 64));
INSERT INTO recalls (matter_id, extract_id, rows) VALUES ('m-77', '018f0000-0000-7000-8000-0000000000ba', 12);
INSERT INTO removals (matter_id, removed_at, arrival) VALUES
    ('m-78', '2026-03-03 10:00:01', 3), (NULL, '2026-03-03 11:00:00', 3);
INSERT INTO tombstones (topic, kafka_partition, key, matter_id, since, arrival) VALUES
    ('matter-views', 2, '\x00\xFFkey'::BLOB, 'm-78', '2026-03-03 10:00:01', 3),
    ('matter-views', 0, 'none'::BLOB, NULL, '2026-03-03 10:00:01', 3);
INSERT INTO dead_letters (
    topic, kafka_partition, kafka_offset, kafka_timestamp, key, headers, payload, error_kind, error_detail, matter_id,
    kept_at
) VALUES
    ('matter-views', 0, 41, '2023-11-14 22:13:20', '\xFE'::BLOB,
        [{'name': 'ce_id', 'value': '\xFF\x00'::BLOB}, {'name': 'trace', 'value': NULL}], '\x00no event'::BLOB,
        'truncated', 'at byte 7', NULL, '2026-03-01 12:00:00'),
    ('matter-deletions', 1, 42, NULL, NULL, [], ''::BLOB, 'conflict', '', 'm-1', '2026-03-01 12:00:01');
INSERT INTO positions (
    topic, kafka_partition, next_offset, topic_id, last_timestamp, moved_at, last_offset, leader_epoch
) VALUES
    ('matter-views', 0, 3000, 'abc', '2026-03-01 12:00:00', '2026-03-01 12:00:01', 2998, 4),
    ('matter-deletions', 0, 0, NULL, NULL, '2026-03-01 12:00:01', NULL, NULL);
INSERT INTO cuts (topic, kafka_partition, reread_until, arrival) VALUES
    ('matter-views', 1, NULL, 2), ('matter-deletions', 0, 7, 3);
INSERT INTO database_only (topic, kafka_partition, kafka_offset, event_id, arrival) VALUES
    ('matter-views', 1, 1, '018f0000-0000-7000-8000-000000000001', 3), ('matter-deletions', 1, 42, NULL, 3);
INSERT INTO gaps (topic, kafka_partition, first_missing, next_available, found_at) VALUES
    ('matter-views', 1, 7, 9, '2026-03-01 12:00:01');
UPDATE log SET last_arrival = 3;
INSERT INTO recoveries (recovered_at, source, deletions_read_at) VALUES
    ('2026-01-01 00:00:00', 'nothing', '2026-01-01 00:10:00');
