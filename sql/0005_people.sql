-- People follow from evidence: who was joined with whom, why, what moved, and how to take it apart.

-- Any two addresses, not only a LID and a phone: a person may say that two numbers are one customer.
ALTER TABLE history_sync.evidence RENAME COLUMN lid TO one;
ALTER TABLE history_sync.evidence RENAME COLUMN phone TO other;
-- When the source said so last: a message's own time, or the moment a list was read. Of two claims
-- that contradict each other the newer one holds, whatever order they were read in.
ALTER TABLE history_sync.evidence ADD COLUMN seen_at timestamptz;
UPDATE history_sync.evidence SET seen_at = first_seen_at;
ALTER TABLE history_sync.evidence ALTER COLUMN seen_at SET NOT NULL;

-- Two addresses that a person took apart; no evidence joins them again.
CREATE TABLE history_sync.separations (
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    one text NOT NULL,
    other text NOT NULL,
    separated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, one, other),
    CHECK (one < other)
);

-- `is_ours`: this pipeline made the contact, so it may retire it; the CRM's own are left standing.
-- `anchor`: the address that keeps the contact when its addresses are divided.
ALTER TABLE history_sync.people
    ADD COLUMN is_ours boolean NOT NULL DEFAULT false,
    ADD COLUMN anchor text,
    ADD COLUMN absorbed_by uuid REFERENCES history_sync.people (contact_id) ON DELETE SET NULL;
-- Contacts of ours have ids of version 5, the CRM's of version 4.
UPDATE history_sync.people SET is_ours = substr(contact_id::text, 15, 1) = '5';
UPDATE history_sync.people AS p
SET anchor = (
    SELECT i.address FROM history_sync.identities AS i
    WHERE i.contact_id = p.contact_id ORDER BY i.address LIKE '%@lid', i.address LIMIT 1
);

-- One contact absorbed by another, and its reversal.
CREATE TABLE history_sync.merges (
    merge_id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    kept uuid NOT NULL REFERENCES history_sync.people (contact_id) ON DELETE CASCADE,
    absorbed uuid NOT NULL REFERENCES history_sync.people (contact_id) ON DELETE CASCADE,
    -- What each side was known by at that moment.
    kept_addresses text[] NOT NULL,
    absorbed_addresses text[] NOT NULL,
    -- The kinds of evidence that name both sides; empty when only the looks of a number do.
    sources text[] NOT NULL,
    -- Rows moved, by table, and the contact that stays as it was before and after.
    moved jsonb NOT NULL DEFAULT '{}',
    kept_before jsonb NOT NULL,
    kept_after jsonb,
    run_id uuid NOT NULL,
    merged_at timestamptz NOT NULL DEFAULT now(),
    undone_at timestamptz
);
CREATE INDEX merges_kept ON history_sync.merges (kept) WHERE undone_at IS NULL;
CREATE INDEX merges_absorbed ON history_sync.merges (absorbed) WHERE undone_at IS NULL;
CREATE INDEX merges_project ON history_sync.merges (project_id, merged_at);

-- Which rows moved, so that exactly these go back. `before` is the row as it was, where a merge
-- changed more than its owner.
CREATE TABLE history_sync.merged_rows (
    merge_id uuid NOT NULL REFERENCES history_sync.merges (merge_id) ON DELETE CASCADE,
    relation text NOT NULL,
    row_id uuid NOT NULL,
    before jsonb,
    PRIMARY KEY (merge_id, relation, row_id)
);

-- A stored row that turned out to be another's copy under the person's other address. It stays,
-- deleted softly, where it stood: in a conversation that no address leads to any more.
ALTER TABLE history_sync.message_keys ADD COLUMN duplicate_of uuid
    REFERENCES public.messages (id) ON DELETE SET NULL;
CREATE INDEX message_keys_duplicates ON history_sync.message_keys (duplicate_of)
    WHERE duplicate_of IS NOT NULL;
-- One stanza id in two conversations: evidence, when it came in.
CREATE INDEX message_keys_stanza ON history_sync.message_keys (channel_id, stanza_id);
