-- What is about to change: messages, contacts, or contacts with all that hangs on them.
CREATE TEMP TABLE to_hold (
    kind text NOT NULL, id uuid NOT NULL, PRIMARY KEY (kind, id)
) ON COMMIT DELETE ROWS;
-- Rows as they were when this transaction came to them.
CREATE TEMP TABLE held (
    relation text NOT NULL, row_id uuid NOT NULL, image jsonb NOT NULL,
    PRIMARY KEY (relation, row_id)
) ON COMMIT DELETE ROWS;
