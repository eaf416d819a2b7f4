SELECT DISTINCT copy FROM doubled WHERE channel_id = %(channel_id)s ORDER BY copy
