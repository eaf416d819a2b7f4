-- People who were erased, and stay erased when history is read again.

-- What is this installation's own. The secret makes a tombstone say nothing to whoever has not both:
-- a telephone number alone is one of some 10^10, and its bare hash is found in minutes.
CREATE TABLE history_sync.installation (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    secret bytea NOT NULL CHECK (length(secret) = 32)
);
INSERT INTO history_sync.installation (secret)
SELECT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text
                         || gen_random_uuid()::text, 'UTF8'));

-- HMAC-SHA256, under the secret, of an address that is never read, kept or loaded again.
CREATE TABLE history_sync.erased (
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    erased_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, digest)
);

-- Who had somebody erased, and what that did; of the person nothing.
CREATE TABLE history_sync.erasures (
    erasure_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
    asked_by text,
    asked_at timestamptz NOT NULL DEFAULT now(),
    -- Null while something of it is still to be done.
    ended_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    -- Media files (by the SHA-256 of their content) that nobody else has, until they are deleted.
    files text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX erasures_open ON history_sync.erasures (project_id) WHERE ended_at IS NULL;
