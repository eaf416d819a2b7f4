-- One transition of a channel at a time. Not FOR UPDATE, which would wait for every load: a message
-- that is inserted holds its channel's key.
SELECT id FROM channels WHERE id = %(channel_id)s FOR NO KEY UPDATE
