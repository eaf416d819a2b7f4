-- Without parameters on purpose, as create_removed.sql. Conversations with nobody else.
CREATE TEMP TABLE emptied_chats (chat_id uuid PRIMARY KEY) ON COMMIT DROP;
