-- name: end
-- The last entry's number and hash.
SELECT number, hash FROM acts_end;

-- name: append
-- Append the next entry.
INSERT INTO acts (number, at, act, account, address, details, previous_hash, hash)
VALUES (:number, :at, :act, :account, :address, :details, :previous_hash, :hash);

-- name: move_end
-- Store the new end of the log.
UPDATE acts_end SET number = :number, hash = :hash;

-- name: lines
-- The whole content of the entries after a number and up to another, one text per entry.
SELECT json_array(number, at, act, account, address, details, previous_hash, hash) || char(10) FROM acts
WHERE number > :after AND number <= :last ORDER BY number;

-- name: newest
-- The newest entries before a number, newest first.
SELECT * FROM acts WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: following
-- The next entries after a number; all of them where the limit is negative.
SELECT * FROM acts WHERE number > :after ORDER BY number LIMIT :limit;
