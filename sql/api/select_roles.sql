-- What a user is to the project of a channel. A membership names its agent by the id's text, and the
-- agent names the user. Who made the channel does not count: the project's owner does.
SELECT 'owner' AS role
FROM channels AS c
INNER JOIN projects AS p ON p.id = c.project_id AND p.deleted_at IS NULL
WHERE c.id = %(channel_id)s AND c.deleted_at IS NULL AND p.user_id = %(user_id)s
UNION
SELECT m.role
FROM channels AS c
INNER JOIN projects AS p ON p.id = c.project_id AND p.deleted_at IS NULL
INNER JOIN project_members AS m ON m.project_id = p.id AND m.deleted_at IS NULL
INNER JOIN agents AS a
    ON a.id::text = lower(m.agent_id) AND a.deleted_at IS NULL AND a.active IS NOT FALSE
WHERE c.id = %(channel_id)s AND c.deleted_at IS NULL AND a.user_id = %(user_id)s
