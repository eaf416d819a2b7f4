-- Without parameters on purpose: psycopg sends several statements at once only then.
-- Rows that the run changed: the columns as they were before it and as it left them.
CREATE TEMP TABLE undoing (
    relation text NOT NULL, row_id uuid NOT NULL, before jsonb NOT NULL, after jsonb NOT NULL,
    PRIMARY KEY (relation, row_id)
) ON COMMIT DROP;
-- The run_moments at which the run wrote: what was made at one of them was made by it.
CREATE TEMP TABLE run_moments (written_at timestamptz PRIMARY KEY) ON COMMIT DROP;
