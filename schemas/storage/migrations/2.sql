-- A topic that was cut is told by the last record that was read. In version 1 only its timestamp was kept, and the record
-- stood just before the position, if anywhere.
ALTER TABLE positions ADD COLUMN last_offset BIGINT;
ALTER TABLE positions ADD COLUMN leader_epoch INTEGER;
UPDATE positions SET last_offset = next_offset - 1 WHERE next_offset > 0 AND last_timestamp IS NOT NULL;

CREATE TABLE cuts (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    reread_until BIGINT,
    arrival BIGINT NOT NULL
);

CREATE TABLE database_only (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    event_id UUID,
    arrival BIGINT NOT NULL
);
