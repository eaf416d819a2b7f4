-- The pipeline's own memory, beside the CRM's tables and never inside them: a real CRM's schema is
-- left as it is, and dropping this schema leaves a CRM that works.

CREATE SCHEMA IF NOT EXISTS history_sync;

-- What is known of a channel between runs.
CREATE TABLE history_sync.channel_state (
    channel_id uuid PRIMARY KEY REFERENCES public.channels (id) ON DELETE CASCADE,
    own_addresses text[] NOT NULL DEFAULT '{}',
    engine text,
    waha_version text,
    directory_read_at timestamptz,
    -- Newest trusted message time that has been loaded; advanced in the load's own transaction.
    watermark timestamptz,
    -- What a person has to mend before this channel can be read, and since when; null when nothing.
    problem text,
    problem_since timestamptz
);

-- One row per run that touched a channel; progress is readable while it runs.
CREATE TABLE history_sync.runs (
    run_id uuid NOT NULL,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    from_day date NOT NULL,
    to_day date NOT NULL,
    status text NOT NULL DEFAULT 'running'
        CHECK (status IN ('running', 'completed', 'failed')),
    days_read integer NOT NULL DEFAULT 0,
    days_loaded integer NOT NULL DEFAULT 0,
    messages_read bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    retries bigint NOT NULL DEFAULT 0,
    contacts_created bigint NOT NULL DEFAULT 0,
    sessions_created bigint NOT NULL DEFAULT 0,
    error text,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    PRIMARY KEY (run_id, channel_id)
);
CREATE INDEX runs_channel_started ON history_sync.runs (channel_id, started_at DESC);

-- A person (or a group, which needs a contact to hang its own messages on) as this pipeline sees it.
-- `name_rank` and `name_at` say how good the name is, so that names commute: a better source wins,
-- then the newer one, in whatever order days are read.
CREATE TABLE history_sync.people (
    contact_id uuid PRIMARY KEY REFERENCES public.contacts (id) ON DELETE CASCADE,
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    chat_id uuid REFERENCES public.chats (id) ON DELETE SET NULL,
    is_group boolean NOT NULL DEFAULT false,
    name text,
    name_rank smallint NOT NULL DEFAULT 0,
    name_at timestamptz NOT NULL DEFAULT '-infinity',
    created_by_run uuid
);
CREATE INDEX people_chat ON history_sync.people (chat_id);

-- Every address a person is known by: phone JID, LID, group JID.
CREATE TABLE history_sync.identities (
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    address text NOT NULL,
    contact_id uuid NOT NULL REFERENCES history_sync.people (contact_id) ON DELETE CASCADE,
    learned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, address)
);
CREATE INDEX identities_contact ON history_sync.identities (contact_id);

-- Why two addresses are one person. Kept apart from the conclusion, so that it can be drawn again.
CREATE TABLE history_sync.evidence (
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    lid text NOT NULL,
    phone text NOT NULL,
    source text NOT NULL,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, lid, phone, source)
);

-- What WAHA's lists say of an address now: its names, and whether it has a chat.
CREATE TABLE history_sync.directory (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    address text NOT NULL,
    has_chat boolean NOT NULL DEFAULT false,
    book_name text,
    push_name text,
    subject text,
    listed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, address)
);

-- The message key (channel, conversation, stanza id) and the CRM row it stands for. This constraint,
-- not the orchestrator, is what makes a message one row: WAHA's serialized id flips between @lid and
-- @c.us and cannot be a key.
CREATE TABLE history_sync.message_keys (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    chat_id uuid NOT NULL,
    stanza_id text NOT NULL,
    message_id uuid NOT NULL UNIQUE REFERENCES public.messages (id) ON DELETE CASCADE,
    contact_id uuid NOT NULL,
    waha_id text NOT NULL,
    address text NOT NULL,
    day date NOT NULL,
    status_rank smallint NOT NULL,
    time_trusted boolean NOT NULL,
    -- Which version of the message the row's content comes from: the newest wins, and a placeholder
    -- ("waiting for this message") is older than anything.
    kind_is_known boolean NOT NULL,
    edited_at timestamptz NOT NULL DEFAULT '-infinity',
    read_at timestamptz NOT NULL,
    reply_to_stanza text,
    inserted_by_run uuid NOT NULL,
    changed_by_run uuid,
    PRIMARY KEY (channel_id, chat_id, stanza_id)
);
CREATE INDEX message_keys_day ON history_sync.message_keys (channel_id, day);
CREATE INDEX message_keys_contact ON history_sync.message_keys (channel_id, contact_id);
CREATE INDEX message_keys_reply
    ON history_sync.message_keys (channel_id, reply_to_stanza) WHERE reply_to_stanza IS NOT NULL;

-- The sessions this pipeline made; any other session belongs to the CRM and is not touched.
CREATE TABLE history_sync.sessions (
    session_id uuid PRIMARY KEY REFERENCES public.sessions (id) ON DELETE CASCADE,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    contact_id uuid NOT NULL
);
CREATE INDEX sessions_contact ON history_sync.sessions (channel_id, contact_id);

-- What is known of a day: a day once read is not a day complete, because history arrives for hours
-- after pairing. A second read that finds nothing new settles it.
CREATE TABLE history_sync.coverage (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    day date NOT NULL,
    state text NOT NULL CHECK (state IN ('unknown', 'reading', 'settling', 'settled', 'exhausted')),
    rows_known bigint NOT NULL,
    first_read_at timestamptz NOT NULL DEFAULT now(),
    last_grown_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, day)
);

-- The balance of one load of one day. `seen` is counted from the archive, the outcomes from what
-- the load did; a check compares the two, so no CHECK stands here.
CREATE TABLE history_sync.balance (
    run_id uuid NOT NULL,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    day date NOT NULL,
    seen bigint NOT NULL,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    filtered bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    reasons jsonb NOT NULL DEFAULT '{}',
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, day, run_id)
);

-- What could not be imported, kept with its payload so that it can be replayed after a fix.
CREATE TABLE history_sync.quarantine (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    row_hash text NOT NULL,
    day date NOT NULL,
    reason text NOT NULL,
    payload text NOT NULL,
    times_seen integer NOT NULL DEFAULT 1,
    first_run uuid NOT NULL,
    last_run uuid NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, row_hash)
);

-- A session's id follows from its first message, so any order of days gives the same id.
-- RFC 9562 version 8 (custom) over an md5, because sha1 needs an extension that many servers lack.
CREATE FUNCTION history_sync.session_id(first_message uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT overlay(overlay(md5('ventros/session/' || first_message)
                           PLACING '8' FROM 13) PLACING '8' FROM 17)::uuid
$$;

-- Status only rises. Unknown is below everything; a message that failed and was then sent was sent.
CREATE FUNCTION history_sync.status_of(status_rank smallint, can_play boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE status_rank
        WHEN 1 THEN 'queued' WHEN 2 THEN 'failed' WHEN 3 THEN 'sent' WHEN 4 THEN 'delivered'
        WHEN 5 THEN 'read' WHEN 6 THEN CASE WHEN can_play THEN 'played' ELSE 'read' END
        ELSE 'sent' END
$$;
