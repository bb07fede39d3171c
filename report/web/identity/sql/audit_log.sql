-- name: end
-- The last entry's number and hash.
SELECT number, hash FROM acts_end;

-- name: append
-- The next entry.
INSERT INTO acts (number, at, act, account, address, details, previous_hash, hash)
VALUES (:number, :at, :act, :account, :address, :details, :previous_hash, :hash);

-- name: move_end
-- Where the log ends now.
UPDATE acts_end SET number = :number, hash = :hash;

-- name: behind
-- Every entry behind a number.
SELECT * FROM acts WHERE number > :after ORDER BY number;

-- name: lines
-- All that stands in the entries behind a number up to another, one text an entry.
SELECT json_array(number, at, act, account, address, details, previous_hash, hash) || char(10) FROM acts
WHERE number > :after AND number <= :last ORDER BY number;

-- name: newest
-- The entries of one page, newest first.
SELECT * FROM acts WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: following
-- The entries behind a number.
SELECT * FROM acts WHERE number > :after ORDER BY number LIMIT :limit;
