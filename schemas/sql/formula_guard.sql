-- name: guarded
-- Text with the guard. The first two lines are only for speed: nearly all text begins with a letter or a digit, which a
-- comparison finds.
CASE WHEN {field} >= 'A' AND {field} < chr(65280) THEN {field}
    WHEN {field} >= '0' AND {field} < ':' THEN {field}
    WHEN list_contains({starts}, left(ltrim({field}, ''''), 1)) THEN '''' || {field}
    ELSE {field} END

-- name: unguarded
-- Text without the guard that "guarded" adds.
CASE WHEN starts_with({field}, '''') AND list_contains({starts}, left(ltrim({field}, ''''), 1))
    THEN substr({field}, 2) ELSE {field} END
