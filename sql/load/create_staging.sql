-- Without parameters on purpose: psycopg sends several statements at once only then.
CREATE TEMP TABLE staged_people (
    contact_id uuid PRIMARY KEY, chat_id uuid, is_group boolean NOT NULL, external_id text,
    phone text, name text, name_rank smallint NOT NULL, name_at timestamptz NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE staged_identities (
    address text PRIMARY KEY, contact_id uuid NOT NULL
) ON COMMIT DROP;
-- One line for each distinct row of WAHA that is a message to keep; two of them may be one message.
CREATE TEMP TABLE staged_rows (
    day date NOT NULL, chat_id uuid NOT NULL, stanza_id text NOT NULL, waha_id text NOT NULL,
    is_primary boolean NOT NULL
) ON COMMIT DROP;
-- One line for each message key, its versions already merged.
CREATE TEMP TABLE staged_messages (
    day date NOT NULL, chat_id uuid NOT NULL, stanza_id text NOT NULL, message_id uuid NOT NULL,
    contact_id uuid NOT NULL, waha_id text NOT NULL, address text NOT NULL, at timestamptz NOT NULL,
    time_trusted boolean NOT NULL, from_me boolean NOT NULL, content_type text NOT NULL, text text,
    media_url text, media_mimetype text, status_rank smallint NOT NULL, can_play boolean NOT NULL,
    mentions text[], reply_to_stanza text, metadata jsonb NOT NULL,
    kind_is_known boolean NOT NULL, edited_at timestamptz NOT NULL, read_at timestamptz NOT NULL,
    is_new boolean NOT NULL DEFAULT true,
    PRIMARY KEY (chat_id, stanza_id)
) ON COMMIT DROP;
CREATE TEMP TABLE changed_messages (message_id uuid PRIMARY KEY) ON COMMIT DROP;
