-- Newest first, until the next one would not fit. What has no known price cannot be promised to fit
-- into a sum of money; without such a sum it is counted like any other.
WITH priced AS (
    SELECT message_id, at, usd
    FROM judged_media
    WHERE reason IS NULL AND (usd IS NOT NULL OR %(max_usd)s::numeric IS NULL)
), placed AS (
    SELECT
        message_id,
        row_number() OVER newest AS place,
        sum(usd) OVER (newest ROWS UNBOUNDED PRECEDING) AS spent
    FROM priced
    WINDOW newest AS (ORDER BY at DESC, message_id)
)
UPDATE judged_media AS j
SET
    place = placed.place,
    reason = CASE
        WHEN placed.message_id IS NULL THEN 'price_unknown'
        WHEN placed.place > %(max_messages)s::bigint OR placed.spent > %(max_usd)s::numeric
            THEN 'over_budget'
    END
FROM judged_media AS every
LEFT JOIN placed USING (message_id)
WHERE j.message_id = every.message_id AND j.reason IS NULL
