-- name: end
-- The last entry's number and hash.
SELECT number, hash FROM acts_end;

-- name: append
-- The next entry.
INSERT INTO acts (number, at, act, account, address, details, previous_hash, hash)
VALUES (:number, :at, :act, :account, :address, :details, :previous_hash, :hash);

-- name: move_end
-- Where the record ends now.
UPDATE acts_end SET number = :number, hash = :hash;

-- name: all
-- Every entry.
SELECT * FROM acts ORDER BY number;

-- name: newest
-- The entries of one page, newest first.
SELECT * FROM acts WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: following
-- The entries behind a number.
SELECT * FROM acts WHERE number > :after ORDER BY number LIMIT :limit;
