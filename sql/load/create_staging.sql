-- One line for each distinct row of WAHA that is a message to keep; two of them may be one message.
CREATE TEMP TABLE staged_rows (
    day date NOT NULL, chat_id uuid NOT NULL, stanza_id text NOT NULL, waha_id text NOT NULL,
    is_primary boolean NOT NULL, row_key text NOT NULL, read_at timestamptz NOT NULL,
    is_mark boolean NOT NULL
) ON COMMIT DELETE ROWS;
-- One line for each message key, its versions already merged.
CREATE TEMP TABLE staged_messages (
    day date NOT NULL, chat_id uuid NOT NULL, stanza_id text NOT NULL, message_id uuid NOT NULL,
    contact_id uuid NOT NULL, waha_id text NOT NULL, address text NOT NULL, at timestamptz NOT NULL,
    time_trusted boolean NOT NULL, from_me boolean NOT NULL, content_type text NOT NULL, text text,
    media_url text, media_mimetype text, status_rank smallint NOT NULL, can_play boolean NOT NULL,
    mentions text[], reply_to_stanza text, metadata jsonb NOT NULL,
    kind_is_known boolean NOT NULL, edited_at timestamptz NOT NULL, read_at timestamptz NOT NULL,
    -- When a row said that this message was revoked, and whether nothing else is known of it.
    revoked_at timestamptz, only_revoked boolean NOT NULL DEFAULT false,
    is_new boolean NOT NULL DEFAULT true, gone_by text, gone_at timestamptz,
    PRIMARY KEY (chat_id, stanza_id)
) ON COMMIT DELETE ROWS;
-- Rows of the archive that a complete read has missed since it began.
CREATE TEMP TABLE staged_absences (
    day date NOT NULL, row_key text NOT NULL, seen_at timestamptz, missed_at timestamptz,
    gone_at timestamptz, PRIMARY KEY (day, row_key)
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE changed_messages (message_id uuid PRIMARY KEY) ON COMMIT DELETE ROWS;
-- When the messages of a contact change, the stretches of its time that are cut anew for it, the
-- CRM's own sessions with it, and the cut.
CREATE TEMP TABLE touched_contacts (
    contact_id uuid NOT NULL, span tstzrange NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE touched_spans (
    contact_id uuid NOT NULL, from_at timestamptz NOT NULL, until_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE their_sessions (
    session_id uuid NOT NULL, contact_id uuid NOT NULL, started_at timestamptz NOT NULL,
    last_activity_at timestamptz NOT NULL, opens_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE planned_sessions (
    message_id uuid, contact_id uuid NOT NULL, at timestamptz NOT NULL, from_me boolean,
    -- Whether its time is its own, and whether the session is the CRM's.
    is_settled boolean NOT NULL, is_theirs boolean NOT NULL, session_id uuid NOT NULL
) ON COMMIT DELETE ROWS;
-- When the messages of this window were sent.
CREATE TEMP TABLE moments (
    contact_id uuid NOT NULL, chat_id uuid NOT NULL, first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS;
-- Where messages stood that have moved to an earlier time.
CREATE TEMP TABLE moved_messages (
    contact_id uuid NOT NULL, chat_id uuid, was_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS;
