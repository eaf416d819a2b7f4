-- An address that changes hands. `merge_id` is the merge that is made, or the one that is undone.
CREATE TEMP TABLE moves (
    address text PRIMARY KEY, giver uuid NOT NULL, taker uuid NOT NULL, giver_chat uuid,
    taker_chat uuid, merge_id uuid,
    -- Everything that hangs on the giver goes along, whoever wrote it; else only what we wrote.
    takes_all boolean NOT NULL
) ON COMMIT DELETE ROWS;
-- Messages that change hands, with the conversation and contact they go to.
CREATE TEMP TABLE placed (
    message_id uuid PRIMARY KEY, channel_id uuid NOT NULL, stanza_id text NOT NULL,
    chat_id uuid NOT NULL, contact_id uuid NOT NULL, merge_id uuid
) ON COMMIT DELETE ROWS;
-- Messages that are copies of another one there; `copy` numbers the copies of one message.
CREATE TEMP TABLE doubled (
    message_id uuid PRIMARY KEY, kept_id uuid NOT NULL, channel_id uuid NOT NULL,
    chat_id uuid NOT NULL, stanza_id text NOT NULL, merge_id uuid, copy integer NOT NULL
) ON COMMIT DELETE ROWS;
