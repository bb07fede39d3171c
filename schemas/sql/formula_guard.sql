-- name: guarded
-- Text with the guard. The first lines are only for speed: nearly all text begins with a letter or a digit and has no
-- separator, which comparisons find.
CASE WHEN ({field} >= 'A' AND {field} < chr(65280) OR {field} >= '0' AND {field} < ':')
    AND NOT (contains({field}, ';') OR contains({field}, ',') OR contains({field}, chr(9)) OR contains({field}, chr(10))
        OR contains({field}, chr(13))) THEN {field}
    ELSE CASE WHEN list_contains({starts}, left(ltrim({field}, '''"'), 1)) THEN '''' ELSE '' END
        || regexp_replace({field}, {unguarded}, '\1''\2', 'g') END

-- name: unguarded
-- Text without the guard that "guarded" adds.
regexp_replace(CASE WHEN starts_with({field}, '''') AND list_contains({starts}, left(ltrim({field}, '''"'), 1))
    THEN substr({field}, 2) ELSE {field} END, {guarded}, '\1\2', 'g')
