-- Rows as a site's database of version 2 has them.
INSERT INTO accounts (
    account_id, name, role, password_hash, must_change_password, totp_secret, totp_last_step, provider_subject,
    disabled_at, created_at, password_set_at
) VALUES
    (1, 'a.silva', 'administrator', '$argon2id$v=19$m=65536,t=3,p=4$abc$def', 0, 'JBSWY3DPEHPK3PXP', 58000000, NULL, NULL,
        '2026-01-01T00:00:00.000000Z', '2026-01-03T00:00:00.000000Z'),
    (3, 'zoë@firm.example', 'analyst', NULL, 1, NULL, 0, 'https://idp.example|42', '2026-02-01T00:00:00.000000Z',
        '2026-01-02T00:00:00.000000Z', NULL);
INSERT INTO sessions (
    token_hash, account_id, awaits_second_factor, started_at, seen_at, address, authenticated_at, at_provider,
    has_second_factor
) VALUES
    (x'00FF', 1, 1, '2026-03-01T00:00:00.000000Z', '2026-03-01T00:01:00.000000Z', '192.0.2.1',
        '2026-03-01T00:00:00.000000Z', 1, 1);
INSERT INTO browsers (token_hash, account_id, seen_at) VALUES (x'00FD', 1, '2026-03-01T00:00:00.000000Z');
INSERT INTO recovery_codes (code_hash, account_id) VALUES (x'01', 1), (x'02', 1);
INSERT INTO api_tokens (
    token_id, account_id, token_hash, label, scopes, created_at, expires_at, last_used_at
) VALUES
    (1, 1, x'0A', 'Power BI; "nightly"', 'extract', '2026-03-01T00:00:00.000000Z', '2027-03-01T00:00:00.000000Z', NULL);
INSERT INTO manifests (extract_id, account_id, manifest) VALUES ('018f0000-0000-7000-8000-0000000000ba', 3, '{"rows": 7}');
INSERT INTO provider_sign_ins (state_hash, visit_hash, nonce, code_verifier, started_at) VALUES
    (x'0B', x'0C', 'n', 'v', '2026-03-01T00:00:00.000000Z');
INSERT INTO acts (number, at, act, account, address, details, previous_hash, hash) VALUES
    (1, '2026-03-01T00:00:00.000000Z', 'signed-in', 'a.silva', '192.0.2.1', '{}', '', 'a'),
    (2, '2026-03-01T00:00:01.000000Z', 'signed-in', NULL, NULL, '{}', 'a', 'b');
UPDATE acts_end SET number = 2, hash = 'b';
