-- name: alike
-- A text without what people type differently: capitals, kinds and number of blanks, and forms of the same characters.
lower(trim(regexp_replace(nfc_normalize({text}), '[\s\pZ]+', ' ', 'g')))
