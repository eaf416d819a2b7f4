CREATE TEMP TABLE staged_people (
    contact_id uuid PRIMARY KEY, chat_id uuid, is_group boolean NOT NULL, external_id text,
    phone text, name text, name_rank smallint NOT NULL, name_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_identities (
    address text PRIMARY KEY, contact_id uuid NOT NULL
) ON COMMIT DELETE ROWS;
-- Rows that the CRM wrote and that no key of ours names yet.
CREATE TEMP TABLE live_rows (
    message_id uuid PRIMARY KEY, contact_id uuid NOT NULL, stanza_id text NOT NULL,
    -- The conversation, where the row's id names one; a bare stanza id leaves only the contact.
    address text
) ON COMMIT DELETE ROWS;
