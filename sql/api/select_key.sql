-- Whose key this is, if it may be used: one lookup by the hash's unique index, whatever is asked.
SELECT
    k.id AS key_id, u.id AS user_id, u.role,
    k.last_used IS NULL OR k.last_used < %(now)s - interval '1 minute' AS unnoted
FROM user_api_keys AS k
INNER JOIN users AS u ON u.id = k.user_id
WHERE k.key_hash = %(key_hash)s
  AND k.active AND k.deleted_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > %(now)s)
  AND u.status = 'active' AND u.deleted_at IS NULL
