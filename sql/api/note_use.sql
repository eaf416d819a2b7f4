UPDATE user_api_keys SET last_used = %(now)s
WHERE id = %(key_id)s AND (last_used IS NULL OR last_used < %(now)s - interval '1 minute')
