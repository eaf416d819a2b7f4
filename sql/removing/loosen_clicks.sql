-- A click is told of at the first message that says so. When that goes, the next one is the first:
-- load/record_clicks.sql finds it as soon as this one is no earlier.
UPDATE public.trackings AS t
SET created_at = 'infinity'
FROM removed
WHERE t.metadata ->> 'message_id' = removed.message_id::text
  AND substr(t.id::text, 15, 1) = '8'
