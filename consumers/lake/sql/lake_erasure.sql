-- name: commits
-- The commits since earlier snapshots were forgotten.
SELECT count(*) FROM ducklake_snapshots('log');

-- name: flush
-- Write rows that lie in the catalogue into files, so that what was removed of them leaves the catalogue.
CALL ducklake_flush_inlined_data('log');

-- name: rewrite
-- Write every file that holds removed rows again, without them.
CALL ducklake_rewrite_data_files('log', delete_threshold => 0);

-- name: merge
-- Merge small files that lie beside each other.
CALL ducklake_merge_adjacent_files('log');

-- name: expire
-- Forget all earlier snapshots, and with them the files that only those name. The last one always stays. Other
-- machines' clocks may be ahead.
CALL ducklake_expire_snapshots('log', older_than => now() + INTERVAL 100 YEAR);

-- name: orphans
-- The files that no snapshot ever named: those of processes that ended before their commit, or whose commit is refused.
CALL ducklake_delete_orphaned_files('log', cleanup_all => true, dry_run => true);

-- name: clean_up
-- Remove the files that no snapshot names any more.
CALL ducklake_cleanup_old_files('log', cleanup_all => true);
