-- Without parameters on purpose: psycopg sends several statements at once only then.
-- Messages that go for good.
CREATE TEMP TABLE removed (
    message_id uuid PRIMARY KEY, channel_id uuid NOT NULL, contact_id uuid NOT NULL, chat_id uuid,
    day date
) ON COMMIT DROP;
-- Contacts that go, and contacts whose sessions are cut anew.
CREATE TEMP TABLE departed (contact_id uuid PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE concerned (contact_id uuid PRIMARY KEY) ON COMMIT DROP;
