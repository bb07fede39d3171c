-- name: rows
-- The rows of a worksheet in SpreadsheetML (ISO/IEC 29500-1, 18.3.1.73), numbered after the header.
SELECT '<row r="' || n || '">' || {cells} || '</row>'
FROM (SELECT row_number() OVER () + 1 AS n, * FROM ({rows}))

-- name: text_cell
-- Text in its cell: never a formula, a number or a link, whatever it begins with. Without a value there is no cell.
coalesce('<c r="{letter}' || n || '" t="inlineStr"><is><t xml:space="preserve">' || {text} || '</t></is></c>', '')

-- name: number_cell
-- A number. Without a value there is no cell.
coalesce('<c r="{letter}' || n || '"><v>' || {field} || '</v></c>', '')

-- name: day_cell
-- A day as Excel counts it, since 1899-12-30. Without a value there is no cell.
coalesce('<c r="{letter}' || n || '" s="{style}"><v>' || (epoch({field})::BIGINT // 86400 + 25569) || '</v></c>', '')

-- name: instant_cell
-- An instant as Excel counts it, in days since 1899-12-30, cut off to the millisecond: Excel rounds what it shows, and a
-- day's last microseconds would be the next day. Without a value there is no cell.
CASE WHEN {field} IS NULL THEN '' ELSE '<c r="{letter}' || n || '" s="{style}"><v>'
    || (epoch_us({field}) // 1000 / 86400000.0 + 25569) || '</v></c>' END

-- name: escaped
-- Text as XML (18.18.95, ST_Xstring): characters that XML cannot hold are written _xHHHH_, and so is an underscore that
-- looks like the beginning of such a code. Most text needs no change, so one search decides first.
CASE WHEN regexp_matches({field}::VARCHAR, '[&<>\x00-\x1f\x{{FFFE}}\x{{FFFF}}]|_x') THEN
    regexp_replace(replace(replace(replace(replace(replace(replace(replace({field}::VARCHAR,
        '_x', '_x005F_x'), '&', '&amp;'), '<', '&lt;'), '>', '&gt;'),
        chr(13), '_x000D_'), chr(65534), '_xFFFE_'), chr(65535), '_xFFFF_'),
        '[\x00-\x08\x0b\x0c\x0e-\x1f]', chr(65533), 'g')
    ELSE {field}::VARCHAR END
