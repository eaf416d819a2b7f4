-- Who the CRM's contacts of bare rows are: people by their number or LID, whichever contact of theirs
-- the pipeline knows, or the account itself.
CREATE TEMP TABLE live_people (
    live_contact uuid NOT NULL, person uuid, is_self boolean NOT NULL
) ON COMMIT DELETE ROWS;
-- The places where a row may belong: its conversation, a sender, or our own side of any group.
CREATE TEMP TABLE live_places (
    message_id uuid NOT NULL, stanza_id text NOT NULL, chat_id uuid, contact_id uuid,
    is_self boolean NOT NULL DEFAULT false
) ON COMMIT DELETE ROWS
