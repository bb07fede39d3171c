-- name: views
-- The matter's rows in the activity table.
SELECT count(*) FROM activity WHERE matter_id = $matter;

-- name: dead_letters
-- Every dead letter with its bytes.
SELECT topic, kafka_partition, kafka_offset, matter_id, [coalesce(key, ''::BLOB), payload] ||
    list_transform(headers, lambda header: coalesce(header.value, ''::BLOB)) FROM dead_letters;

-- name: parquet
-- Whether a row of an extract holds one of these texts.
SELECT EXISTS (
    FROM (SELECT concat_ws(chr(10), *COLUMNS(*)) AS row FROM read_parquet({file})), unnest($sought) s(text)
    WHERE contains(row, text)
);
