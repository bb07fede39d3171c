-- The tables of the log at rest, version 2.
--
-- State = all valid views ever seen minus the views of deleted matters.
-- No primary key, no index: DuckDB's cost a factor of four at insertion, and DuckLake has none. Uniqueness of an
-- event ID is held by the one writer (consumers/database/store.py), inside the transaction that inserts.
-- Every time is an instant in UTC, stored without a zone.

CREATE TYPE user_type AS ENUM ('Guest', 'Member');
CREATE TYPE matter_type AS ENUM ('demo', 'live');

-- The activity table: one row a view. The record's place in the topic stays with the row, so that an erasure can
-- send its tombstone to the partition that holds the record; the arrival is the number of the transaction that stored
-- it, so that an extract can hold what came since another one, whenever it was viewed. Event IDs hold too much chance to
-- be compressed by much, and unpacking them takes most of a purge.
CREATE TABLE activity (
    event_id UUID NOT NULL USING COMPRESSION uncompressed,
    user_id VARCHAR NOT NULL,
    user_name VARCHAR NOT NULL,
    user_email VARCHAR NOT NULL,
    user_type user_type NOT NULL,
    matter_viewed_at TIMESTAMP NOT NULL,
    matter_id VARCHAR NOT NULL,
    matter_name VARCHAR NOT NULL,
    matter_type matter_type NOT NULL,
    user_company_id VARCHAR,
    user_company_name VARCHAR,
    user_member_office_id VARCHAR,
    user_member_office_name VARCHAR,
    user_member_office_location_name VARCHAR,
    user_member_office_location_iso2 VARCHAR,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    arrival BIGINT NOT NULL
);

-- One row a deleted matter, for ever: what refuses its later views, and the receipt of what its deletion did. No
-- personal data. Table and dead letters are rid of the matter at purged_at; each later stage has the instant at which it
-- was done, NULL before. The topic has two: every tombstone is acknowledged, and the broker was made to close the files
-- that hold them, after which its log cleaner drops the records. A later view of the matter takes both back until its own
-- tombstone is through. Out of reach are records of the matter on a topic that matterlog never writes to. The recall list is
-- complete from recalled_at on; NULL: it is not, and never will be. Foreign extracts were made from another database, and
-- whether they held the matter is not known.
CREATE TABLE purges (
    matter_id VARCHAR NOT NULL,
    event_id UUID NOT NULL,
    deleted_at TIMESTAMP NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    purged_at TIMESTAMP NOT NULL,
    views_purged BIGINT NOT NULL,
    views_refused BIGINT NOT NULL,
    dead_letters_purged BIGINT NOT NULL,
    arrival BIGINT NOT NULL,
    out_of_reach BIGINT NOT NULL,
    recalled_at TIMESTAMP,
    foreign_extracts BIGINT,
    extracts_erased_at TIMESTAMP,
    topic_tombstoned_at TIMESTAMP,
    topic_erased_at TIMESTAMP,
    file_erased_at TIMESTAMP,
    snapshots_erased_at TIMESTAMP
);

-- Files that were handed out and held rows of a matter that was deleted since: they cannot be erased, so each is named.
-- Copied from the register of extracts, which may be lost; no name of a person or matter but what the file was called.
CREATE TABLE recalled_extracts (
    extract_id UUID NOT NULL,
    made_at TIMESTAMP NOT NULL,
    made_by VARCHAR NOT NULL,
    how VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL
);

-- How many rows of a deleted matter each of those files held.
CREATE TABLE recalls (
    matter_id VARCHAR NOT NULL,
    extract_id UUID NOT NULL,
    rows BIGINT NOT NULL
);

-- What was removed from the tables and may still be in the file's bytes: one row for each matter and transaction, until
-- the file has been rewritten. The matter is not known where an operator discarded dead letters.
CREATE TABLE removals (
    matter_id VARCHAR,
    removed_at TIMESTAMP NOT NULL,
    arrival BIGINT NOT NULL
);

-- Keys of which the topic holds what the log does not: views of deleted matters, copies in another partition than the
-- row's, discarded dead letters, conflicts. Each is sent back to its partition as a tombstone, or as the view that the
-- table holds under that key and partition, and leaves this table when the broker has acknowledged it. The matter is NULL
-- where the event could not be read.
CREATE TABLE tombstones (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    key BLOB NOT NULL,
    matter_id VARCHAR,
    since TIMESTAMP NOT NULL,
    arrival BIGINT NOT NULL
);

-- Messages that could not be understood, kept whole until somebody retries or discards them. The matter is known
-- only where the event could be read (an event ID that came with other content).
CREATE TABLE dead_letters (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    kafka_timestamp TIMESTAMP,
    key BLOB,
    headers STRUCT(name VARCHAR, value BLOB)[] NOT NULL,
    payload BLOB NOT NULL,
    error_kind VARCHAR NOT NULL,
    error_detail VARCHAR NOT NULL,
    matter_id VARCHAR,
    kept_at TIMESTAMP NOT NULL
);

-- Where reading goes on. The topic's ID tells a topic that was made anew under its old name; the timestamp and the leader
-- epoch of the last record that was read, which stood at last_offset, tell one that was cut and filled again.
CREATE TABLE positions (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    topic_id VARCHAR,
    last_timestamp TIMESTAMP,
    moved_at TIMESTAMP NOT NULL,
    last_offset BIGINT,
    leader_epoch INTEGER
);

-- Partitions of a topic that was cut, as after a broker's volume was put back to an older copy: nothing more is read of the
-- topic until an operator has the partition read again from its beginning. From then on reread_until is the end that it
-- has to be read up to, and the row goes when it is reached. All that the log holds of them is older than arrival.
CREATE TABLE cuts (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    reread_until BIGINT,
    arrival BIGINT NOT NULL
);

-- What the log holds and the topics do not, so that no rebuild from the topics would bring it back: views and deletions
-- by their event's ID, dead letters by their offset. While a partition is read again, all of it that was not read yet. The
-- arrival is the transaction that began to read again.
CREATE TABLE database_only (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    event_id UUID,
    arrival BIGINT NOT NULL
);

-- Offsets that expired from a topic before they were read: recorded, never skipped in silence.
CREATE TABLE gaps (
    topic VARCHAR NOT NULL,
    kafka_partition INTEGER NOT NULL,
    first_missing BIGINT NOT NULL,
    next_available BIGINT NOT NULL,
    found_at TIMESTAMP NOT NULL
);

-- One row: which log this is, and the number of the last transaction that changed it. Numbers of arrivals only compare
-- within one log; a database that was restored or rebuilt is another log.
CREATE TABLE log (log_id UUID NOT NULL, last_arrival BIGINT NOT NULL);
INSERT INTO log VALUES (uuid(), 0);

-- One row each time that the database was put together again, from a backup or from nothing. Until the deletions are
-- read to their end nobody may read what it holds: a matter may be in it that was purged since.
CREATE TABLE recoveries (
    recovered_at TIMESTAMP NOT NULL,
    source VARCHAR NOT NULL,
    deletions_read_at TIMESTAMP
);

-- One row: the version of these tables.
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (2);
