-- People are counted by the one-to-one conversations of this channel, whether listed or written in.
WITH listed AS (
    SELECT d.address, p.contact_id, d.address IN (
        SELECT k.address FROM history_sync.message_keys AS k WHERE k.channel_id = %(channel_id)s
    ) AS has_messages
    FROM history_sync.directory AS d
    INNER JOIN public.channels AS c ON c.id = d.channel_id
    INNER JOIN history_sync.identities AS i
        ON i.project_id = c.project_id AND i.address = d.address
    INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id AND NOT p.is_group
    WHERE d.channel_id = %(channel_id)s AND d.has_chat
), stored AS (
    SELECT
        count(*) AS messages,
        count(*) FILTER (WHERE m.from_me) AS outgoing,
        count(DISTINCT m.session_id) AS sessions,
        count(DISTINCT m.contact_id) AS contacts,
        count(*) FILTER (WHERE NOT k.time_trusted) AS untrusted_times,
        min(m."timestamp") FILTER (WHERE k.time_trusted) AS first_at,
        max(m."timestamp") FILTER (WHERE k.time_trusted) AS last_at
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
    WHERE k.channel_id = %(channel_id)s
)
SELECT
    stored.*,
    (SELECT count(*) FROM listed) AS one_to_one_chats,
    (SELECT count(DISTINCT contact_id) FROM listed) AS people,
    (SELECT count(DISTINCT contact_id) FROM listed WHERE has_messages) AS people_with_messages,
    (
        SELECT count(*) FROM history_sync.quarantine
        WHERE channel_id = %(channel_id)s AND resolved_at IS NULL
    ) AS quarantine
FROM stored
