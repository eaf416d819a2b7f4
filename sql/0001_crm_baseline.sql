-- The CRM's own tables, for a database that has no CRM: the demo, the tests, a new installation.
-- On a real CRM this file is never run (see crm/migrate.py).
--
-- It copies the schema that the CRM really ends up with, not the one its migrations intend: those
-- stop at the ninth file on an empty database, because the first one empties the session's
-- search_path and the next uses bare names. Hence `public.` before every name here.
--
-- Known to exist in the real schema and taken over: tables, columns, types, nullability, defaults,
-- primary keys, unique and check constraints, foreign keys with their ON DELETE, the names
-- uq_chats_external_id and chk_messages_source, the partial indexes of channels, the indexes of
-- messages. Inferred: every other constraint name (pattern fk_<table>_<column>,
-- uni_<table>_<column>). Nothing of ours refers to a constraint by name.
-- Left out: row-level security (its role app_user exists only beside a running CRM, and the CRM owns
-- its tables, so it passes it by), and the indexes of other tables that are not documented.
--
-- No BEGIN or COMMIT here: the migration that runs this file is one transaction.

-- People who operate the CRM. `projects.user_id` is the ownership key of every API check.
CREATE TABLE public.users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    status text DEFAULT 'active',
    role text DEFAULT 'user',
    settings jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT uni_users_email UNIQUE (email),
    CONSTRAINT chk_users_role CHECK (role IN ('admin', 'user', 'manager', 'readonly'))
);

-- Here only because `projects.billing_account_id` is NOT NULL.
CREATE TABLE public.billing_accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    user_id uuid NOT NULL
        CONSTRAINT fk_billing_accounts_user REFERENCES public.users (id) ON DELETE CASCADE,
    name text NOT NULL,
    stripe_customer_id text,
    payment_status text NOT NULL DEFAULT 'pending',
    payment_methods jsonb,
    billing_email text NOT NULL,
    suspended boolean DEFAULT false,
    suspended_at timestamptz,
    suspension_reason text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

-- One project is one tenant; the tenant is an opaque text repeated on each row, without a table.
CREATE TABLE public.projects (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    user_id uuid NOT NULL
        CONSTRAINT fk_projects_user REFERENCES public.users (id),
    billing_account_id uuid NOT NULL
        CONSTRAINT fk_projects_billing_account REFERENCES public.billing_accounts (id),
    tenant_id text NOT NULL,
    name text NOT NULL,
    description text,
    configuration jsonb,
    active boolean DEFAULT true,
    session_timeout_minutes bigint NOT NULL DEFAULT 30,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT uni_projects_tenant_id UNIQUE (tenant_id)
);

CREATE TABLE public.project_members (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    project_id uuid NOT NULL,
    agent_id varchar(255) NOT NULL,
    role varchar(50) NOT NULL,
    invited_by varchar(255) NOT NULL,
    invited_at timestamptz NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

CREATE TABLE public.user_api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT fk_user_api_keys_user REFERENCES public.users (id),
    name text NOT NULL,
    key_hash text NOT NULL,
    active boolean DEFAULT true,
    last_used timestamptz,
    expires_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

-- Types human, ai, bot, channel, virtual, system and the statuses are the domain's, unchecked here.
CREATE TABLE public.agents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    project_id uuid NOT NULL
        CONSTRAINT fk_agents_project REFERENCES public.projects (id),
    user_id uuid
        CONSTRAINT fk_agents_user REFERENCES public.users (id),
    tenant_id text NOT NULL,
    name text NOT NULL,
    email text,
    type text NOT NULL DEFAULT 'human',
    status text NOT NULL DEFAULT 'offline',
    active boolean DEFAULT true,
    config jsonb,
    virtual_metadata jsonb,
    sessions_handled bigint DEFAULT 0,
    average_response_ms bigint DEFAULT 0,
    last_activity_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

-- `a_iprovider` is the real name: the CRM's object mapper split "AIProvider" so.
CREATE TABLE public.pipelines (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    project_id uuid NOT NULL
        CONSTRAINT fk_pipelines_project REFERENCES public.projects (id),
    tenant_id text NOT NULL,
    name text NOT NULL,
    description text,
    color text,
    position bigint DEFAULT 0,
    active boolean DEFAULT true,
    session_timeout_minutes bigint,
    enable_ai_summary boolean DEFAULT false,
    a_iprovider text,
    ai_model text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

CREATE TABLE public.pipeline_statuses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    pipeline_id uuid NOT NULL
        CONSTRAINT fk_pipeline_statuses_pipeline REFERENCES public.pipelines (id),
    name text NOT NULL,
    description text,
    color text,
    status_type text NOT NULL,
    position bigint DEFAULT 0,
    active boolean DEFAULT true,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

-- The id has no sequence; the five rows below are the ids the CRM's code knows.
CREATE TABLE public.channel_types (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    description text,
    provider text NOT NULL,
    configuration jsonb,
    active boolean DEFAULT true,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT uni_channel_types_name UNIQUE (name)
);

-- `external_id` is WAHA's session name and is not unique. `last_import_date` has no time zone,
-- unlike every other time of this schema.
CREATE TABLE public.channels (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT fk_channels_user REFERENCES public.users (id) ON DELETE CASCADE,
    project_id uuid NOT NULL
        CONSTRAINT fk_channels_project REFERENCES public.projects (id) ON DELETE CASCADE,
    tenant_id text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    status text DEFAULT 'inactive',
    external_id text,
    config jsonb,
    webhook_id text,
    webhook_url text,
    webhook_configured_at timestamptz,
    webhook_active boolean DEFAULT false,
    pipeline_id uuid
        CONSTRAINT fk_channels_pipeline REFERENCES public.pipelines (id) ON DELETE SET NULL,
    session_timeout_minutes bigint,
    ai_enabled boolean DEFAULT false,
    ai_agents_enabled boolean DEFAULT false,
    allow_groups boolean DEFAULT false,
    tracking_enabled boolean DEFAULT false,
    debounce_timeout_ms bigint NOT NULL DEFAULT 15000,
    messages_received bigint DEFAULT 0,
    messages_sent bigint DEFAULT 0,
    last_message_at timestamptz,
    last_error_at timestamptz,
    last_error text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    history_import_enabled boolean NOT NULL DEFAULT false,
    last_import_date timestamp,
    history_import_status varchar(50) DEFAULT 'idle',
    history_import_stats jsonb,
    default_agent_id uuid
        CONSTRAINT fk_channels_default_agent REFERENCES public.agents (id) ON DELETE SET NULL,
    history_import_max_days integer,
    history_import_max_messages_per_chat integer,
    CONSTRAINT uni_channels_webhook_id UNIQUE (webhook_id)
);

-- No uniqueness on phone, e-mail or external id: two importers that race make two contacts. What
-- keeps them apart is `history_sync`, not this table.
CREATE TABLE public.contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    project_id uuid NOT NULL
        CONSTRAINT fk_contacts_project REFERENCES public.projects (id),
    tenant_id text NOT NULL,
    name text,
    email text,
    phone text,
    external_id text,
    source_channel text,
    language text DEFAULT 'en',
    timezone text,
    tags jsonb,
    profile_picture_url text,
    profile_picture_fetched_at timestamptz,
    first_interaction_at timestamptz,
    last_interaction_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

-- UNIQUE (contact_id, field_key) was intended and never came to exist: ON CONFLICT on it fails
-- with 42P10.
CREATE TABLE public.contact_custom_fields (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL
        CONSTRAINT fk_contact_custom_fields_contact REFERENCES public.contacts (id),
    tenant_id text NOT NULL,
    field_key text NOT NULL,
    field_type text NOT NULL,
    field_value jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

CREATE TABLE public.contact_pipeline_statuses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL
        CONSTRAINT fk_contact_pipeline_statuses_contact REFERENCES public.contacts (id),
    pipeline_id uuid NOT NULL
        CONSTRAINT fk_contact_pipeline_statuses_pipeline REFERENCES public.pipelines (id),
    status_id uuid NOT NULL
        CONSTRAINT fk_contact_pipeline_statuses_status REFERENCES public.pipeline_statuses (id),
    tenant_id text NOT NULL,
    entered_at timestamptz NOT NULL,
    exited_at timestamptz,
    duration bigint,
    notes text,
    metadata jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

-- `external_id` is unique over all projects. `participants` is an array of
-- {id, type, joined_at, left_at, is_admin}.
CREATE TABLE public.chats (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    project_id uuid NOT NULL
        CONSTRAINT fk_chats_project REFERENCES public.projects (id),
    tenant_id text NOT NULL,
    chat_type text NOT NULL,
    external_id text,
    subject varchar(255),
    description text,
    participants jsonb NOT NULL,
    status text NOT NULL DEFAULT 'active',
    metadata jsonb DEFAULT '{}',
    last_message_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT uq_chats_external_id UNIQUE (external_id)
);

-- `timeout_duration` is in nanoseconds. `pipeline_id` has no foreign key; there is no channel_id.
CREATE TABLE public.sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 1,
    contact_id uuid NOT NULL
        CONSTRAINT fk_sessions_contact REFERENCES public.contacts (id),
    tenant_id text NOT NULL,
    channel_type_id bigint,
    pipeline_id uuid,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    status text DEFAULT 'active',
    end_reason text,
    timeout_duration bigint DEFAULT 1800000000000,
    last_activity_at timestamptz NOT NULL,
    message_count bigint DEFAULT 0,
    messages_from_contact bigint DEFAULT 0,
    messages_from_agent bigint DEFAULT 0,
    duration_seconds bigint DEFAULT 0,
    first_contact_message_at timestamptz,
    first_agent_response_at timestamptz,
    agent_response_time_seconds bigint,
    contact_wait_time_seconds bigint,
    agent_ids jsonb,
    agent_transfers bigint DEFAULT 0,
    summary text,
    sentiment text,
    sentiment_score numeric,
    topics jsonb,
    next_steps jsonb,
    key_entities jsonb,
    resolved boolean DEFAULT false,
    escalated boolean DEFAULT false,
    converted boolean DEFAULT false,
    outcome_tags jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

CREATE TABLE public.agent_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL
        CONSTRAINT fk_agent_sessions_agent REFERENCES public.agents (id),
    session_id uuid NOT NULL
        CONSTRAINT fk_agent_sessions_session REFERENCES public.sessions (id),
    role_in_session text,
    joined_at timestamptz NOT NULL,
    left_at timestamptz,
    is_active boolean DEFAULT true,
    metadata jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

CREATE TABLE public.contact_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL
        CONSTRAINT fk_contact_events_contact REFERENCES public.contacts (id),
    session_id uuid
        CONSTRAINT fk_contact_events_session REFERENCES public.sessions (id),
    tenant_id text NOT NULL,
    event_type text NOT NULL,
    category text NOT NULL,
    priority text NOT NULL,
    title text,
    description text,
    payload jsonb,
    metadata jsonb,
    source text NOT NULL,
    triggered_by uuid,
    integration_source text,
    is_realtime boolean DEFAULT true,
    delivered boolean DEFAULT false,
    delivered_at timestamptz,
    read boolean DEFAULT false,
    read_at timestamptz,
    visible_to_client boolean DEFAULT true,
    visible_to_agent boolean DEFAULT true,
    expires_at timestamptz,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz,
    deleted_at timestamptz
);

-- `user_id`, `agent_id`, `reply_to_id` and `channel_type_id` have no foreign key.
CREATE TABLE public.messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL,
    timestamp timestamptz NOT NULL,
    user_id uuid NOT NULL,
    project_id uuid NOT NULL
        CONSTRAINT fk_messages_project REFERENCES public.projects (id),
    channel_type_id bigint,
    from_me boolean DEFAULT false,
    channel_id uuid NOT NULL
        CONSTRAINT fk_messages_channel REFERENCES public.channels (id) ON DELETE RESTRICT,
    chat_id uuid
        CONSTRAINT fk_messages_chat REFERENCES public.chats (id),
    contact_id uuid NOT NULL
        CONSTRAINT fk_messages_contact REFERENCES public.contacts (id),
    session_id uuid
        CONSTRAINT fk_messages_session REFERENCES public.sessions (id),
    content_type text NOT NULL DEFAULT 'text',
    text text,
    media_url text,
    media_mimetype text,
    channel_message_id text,
    reply_to_id uuid,
    status text DEFAULT 'sent',
    language text,
    agent_id uuid,
    source varchar(20) NOT NULL DEFAULT 'manual',
    metadata jsonb,
    mentions text[],
    delivered_at timestamptz,
    read_at timestamptz,
    played_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT chk_messages_source CHECK (source IN (
        'manual', 'broadcast', 'sequence', 'trigger', 'bot', 'system', 'webhook', 'scheduled',
        'test', 'history_import'
    ))
);

-- Debounce groups. A worker sends `pending` and expired ones to the AI agent: an importer that
-- needs a group writes it `completed`.
CREATE TABLE public.message_groups (
    id uuid PRIMARY KEY,
    contact_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    session_id uuid NOT NULL,
    tenant_id varchar(255) NOT NULL,
    message_ids text[] NOT NULL,
    status varchar(50) NOT NULL,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE public.message_enrichments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id uuid NOT NULL
        CONSTRAINT fk_message_enrichments_message REFERENCES public.messages (id) ON DELETE CASCADE,
    message_group_id uuid NOT NULL
        CONSTRAINT fk_message_enrichments_message_group
        REFERENCES public.message_groups (id) ON DELETE CASCADE,
    content_type varchar(50) NOT NULL,
    provider varchar(50) NOT NULL,
    media_url text NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'pending',
    extracted_text text,
    metadata jsonb,
    processing_time_ms bigint,
    error text,
    context varchar(50),
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz
);

-- status: pending, processing, processed, failed (unchecked). See the trigger below.
CREATE TABLE public.outbox_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_type varchar(100) NOT NULL,
    event_type varchar(100) NOT NULL,
    event_version varchar(20) NOT NULL DEFAULT 'v1',
    event_data jsonb NOT NULL,
    metadata jsonb,
    tenant_id varchar(100),
    project_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    status varchar(20) NOT NULL DEFAULT 'pending',
    retry_count bigint NOT NULL DEFAULT 0,
    last_error text,
    last_retry_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT uni_outbox_events_event_id UNIQUE (event_id)
);

CREATE TABLE public.processed_events (
    id bigserial PRIMARY KEY,
    event_id uuid NOT NULL,
    consumer_name varchar(100) NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    processing_duration_ms bigint,
    CONSTRAINT uni_processed_events_event_id_consumer_name UNIQUE (event_id, consumer_name)
);

CREATE TABLE public.domain_event_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_type text NOT NULL,
    tenant_id text NOT NULL,
    project_id uuid,
    user_id uuid,
    payload jsonb,
    occurred_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL,
    created_at timestamptz,
    deleted_at timestamptz
);

-- The CRM writes '' for a missing click_id, so the second one without it collides.
CREATE TABLE public.trackings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL,
    session_id uuid,
    tenant_id text NOT NULL,
    project_id uuid NOT NULL,
    source text NOT NULL,
    platform text NOT NULL,
    campaign text,
    ad_id text,
    ad_url text,
    click_id text,
    conversion_data text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    utm_term text,
    utm_content text,
    metadata jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT uni_trackings_click_id UNIQUE (click_id)
);

-- Indexes -----------------------------------------------------------------------------------------

CREATE UNIQUE INDEX idx_user_api_keys_key_hash ON public.user_api_keys (key_hash);

CREATE INDEX idx_channels_history_import
    ON public.channels (history_import_enabled, history_import_status)
    WHERE history_import_enabled;
CREATE INDEX idx_channels_default_agent
    ON public.channels (default_agent_id) WHERE default_agent_id IS NOT NULL;

CREATE INDEX idx_contacts_phone ON public.contacts (phone);
CREATE INDEX idx_contacts_email ON public.contacts (email);
CREATE INDEX idx_contacts_external_id ON public.contacts (external_id);
CREATE INDEX idx_contacts_tags ON public.contacts USING gin (tags);

CREATE INDEX idx_outbox_events_metadata ON public.outbox_events USING gin (metadata);

-- messages has 28 indexes with its primary key, and an import pays for all of them. Stated for the
-- real database: their number, and the next seven by name or by column.
CREATE UNIQUE INDEX idx_messages_unique_channel_msg_id
    ON public.messages (channel_id, channel_message_id)
    WHERE channel_message_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX idx_messages_channel_message_id ON public.messages (channel_message_id);
CREATE INDEX idx_messages_metadata ON public.messages USING gin (metadata);
CREATE INDEX idx_messages_tenant_timestamp ON public.messages (tenant_id, "timestamp");
CREATE INDEX idx_messages_tenant_contact ON public.messages (tenant_id, contact_id);
CREATE INDEX idx_messages_tenant_session ON public.messages (tenant_id, session_id);
CREATE INDEX idx_messages_agent_source ON public.messages (agent_id, source);

-- Inferred, and exactly what is missing to 28: those that the CRM's message entity declares, and
-- the ones its later migrations add with `source` and `played_at`.
CREATE INDEX idx_messages_tenant ON public.messages (tenant_id);
CREATE INDEX idx_messages_timestamp ON public.messages ("timestamp");
CREATE INDEX idx_messages_user ON public.messages (user_id);
CREATE INDEX idx_messages_project ON public.messages (project_id);
CREATE INDEX idx_messages_channel_type ON public.messages (channel_type_id);
CREATE INDEX idx_messages_from_me ON public.messages (from_me);
CREATE INDEX idx_messages_channel ON public.messages (channel_id);
CREATE INDEX idx_messages_chat_id ON public.messages (chat_id);
CREATE INDEX idx_messages_contact ON public.messages (contact_id);
CREATE INDEX idx_messages_session ON public.messages (session_id);
CREATE INDEX idx_messages_content_type ON public.messages (content_type);
CREATE INDEX idx_messages_status ON public.messages (status);
CREATE INDEX idx_messages_agent ON public.messages (agent_id);
CREATE INDEX idx_messages_source ON public.messages (source);
CREATE INDEX idx_messages_delivered_at ON public.messages (delivered_at);
CREATE INDEX idx_messages_read_at ON public.messages (read_at);
CREATE INDEX idx_messages_played_at ON public.messages (played_at);
CREATE INDEX idx_messages_created ON public.messages (created_at);
CREATE INDEX idx_messages_updated ON public.messages (updated_at);
CREATE INDEX idx_messages_deleted ON public.messages (deleted_at);

-- Outbox ------------------------------------------------------------------------------------------
-- A running CRM listens and reacts to each pending row at commit. A bulk insert of N pending rows
-- is N notifications, which is why an import writes its rows as processed.
CREATE FUNCTION public.notify_outbox_event() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox_events', NEW.id::text);
    RETURN NEW;
END
$$;

CREATE TRIGGER trigger_notify_outbox_event
    AFTER INSERT ON public.outbox_events
    FOR EACH ROW WHEN (NEW.status = 'pending')
    EXECUTE FUNCTION public.notify_outbox_event();

-- Rows every CRM has ------------------------------------------------------------------------------

INSERT INTO public.channel_types (id, name, description, provider, created_at, updated_at) VALUES
    (1, 'waha', 'WhatsApp through WAHA', 'waha', now(), now()),
    (2, 'whatsapp', 'WhatsApp Business', 'meta', now(), now()),
    (3, 'direct_ig', 'Instagram Direct', 'meta', now(), now()),
    (4, 'messenger', 'Facebook Messenger', 'meta', now(), now()),
    (5, 'telegram', 'Telegram', 'telegram', now(), now());

-- An empty hash matches no password: nobody can log in as this user.
INSERT INTO public.users (id, name, email, password_hash, role, created_at, updated_at)
VALUES (
    '00000000-0000-0000-0000-000000000001', 'System User', 'system@ventros.crm', '', 'admin',
    now(), now()
);

INSERT INTO public.billing_accounts (
    id, user_id, name, payment_status, billing_email, created_at, updated_at
)
VALUES (
    '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000001',
    'System Billing Account', 'active', 'billing@ventros.crm', now(), now()
);

INSERT INTO public.projects (
    id, user_id, billing_account_id, tenant_id, name, description, created_at, updated_at
)
VALUES (
    '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000001',
    '00000000-0000-0000-0000-000000000001', 'system', 'System Project',
    'Holds the reserved agents', now(), now()
);

-- The reserved agents. The CRM's code maps source = history_import to the last one.
INSERT INTO public.agents (
    id, project_id, tenant_id, name, email, type, config, created_at, updated_at
)
SELECT
    ('00000000-0000-0000-0000-0000000000' || number)::uuid,
    '00000000-0000-0000-0000-000000000001', 'system', 'System - ' || name, '', 'system',
    '{"immutable": true}', now(), now()
FROM (VALUES
    ('01', 'Broadcast'), ('02', 'Sequence'), ('03', 'Trigger'), ('04', 'Webhook'),
    ('05', 'Scheduled'), ('10', 'Test'), ('99', 'Default')
) AS reserved (number, name);
