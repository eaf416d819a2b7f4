-- What the next load need not look for again.

-- Rows of the CRM that no key names, found once and kept: the CRM has no index to find them by.
CREATE TABLE history_sync.unknown_rows (
    message_id uuid PRIMARY KEY REFERENCES public.messages (id) ON DELETE CASCADE,
    channel_id uuid NOT NULL,
    -- What the row's id says; `history_sync.waha_id`.
    stanza_id text NOT NULL,
    address text,
    -- Whether a message with this stanza id was read, too: then each load looks who it is.
    has_twin boolean NOT NULL
);
CREATE INDEX unknown_rows_stanza ON history_sync.unknown_rows (channel_id, stanza_id);
CREATE INDEX unknown_rows_twins ON history_sync.unknown_rows (channel_id) WHERE has_twin;

-- From when on the next load has to look for such rows.
CREATE TABLE history_sync.live_looks (
    channel_id uuid PRIMARY KEY REFERENCES public.channels (id) ON DELETE CASCADE,
    -- All that was written before this moment has been seen. A row says when its transaction began,
    -- and is seen when that has ended: so it is a look before which nothing began that has not ended
    -- before a later look.
    since timestamptz NOT NULL,
    -- The look that is to follow, and the transactions that ran then, by their virtual ids.
    looked_at timestamptz NOT NULL,
    running text[] NOT NULL,
    -- The newest look at everything.
    whole_at timestamptz NOT NULL
);

-- The messages of a day's rows, those elsewhere too: how many, and a sum of hashes of their ids and of
-- the runs that stored them, for one that was deleted and came back has the same id.
CREATE FUNCTION history_sync.day_digest(
    of_channel uuid, of_day date, elsewhere uuid[], OUT keys bigint, OUT digest bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        count(*),
        coalesce(sum(uuid_hash(message_id)::bigint + uuid_hash(inserted_by_run)), 0)::bigint
    FROM (
        SELECT message_id, inserted_by_run
        FROM history_sync.message_keys
        WHERE channel_id = of_channel AND day = of_day
        UNION ALL
        SELECT message_id, inserted_by_run
        FROM unnest(elsewhere) AS other (message_id)
        INNER JOIN history_sync.message_keys USING (message_id)
    ) AS held
$$;
