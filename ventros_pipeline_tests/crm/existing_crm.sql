-- A CRM as its own migrations leave it, for tests of a database that was there before us. Written from
-- the facts known of the real one, without a look at sql/0001_crm_baseline.sql: owner, row-level
-- security, the outbox trigger, the object mapper's names, the 28 indexes of messages, its 42 tables.
-- Roles belong to the server and not to a database, so they may be there already.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ventros_owner') THEN
        CREATE ROLE ventros_owner LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_user') THEN
        CREATE ROLE app_user NOLOGIN;
    END IF;
END $$;
DO $$ BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO ventros_owner', current_database());
END $$;
GRANT CREATE ON SCHEMA public TO ventros_owner;
SET ROLE ventros_owner;

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    status text DEFAULT 'active',
    role text DEFAULT 'user',
    settings jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (id)
);

CREATE TABLE public.billing_accounts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    stripe_customer_id text,
    payment_status text DEFAULT 'pending' NOT NULL,
    payment_methods jsonb,
    billing_email text NOT NULL,
    suspended boolean DEFAULT false,
    suspended_at timestamptz,
    suspension_reason text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT billing_accounts_pkey PRIMARY KEY (id)
);

CREATE TABLE public.projects (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    user_id uuid NOT NULL,
    billing_account_id uuid NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    description text,
    configuration jsonb,
    active boolean DEFAULT true,
    session_timeout_minutes bigint DEFAULT 30 NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT projects_pkey PRIMARY KEY (id)
);

CREATE TABLE public.project_members (
    id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    project_id uuid NOT NULL,
    agent_id varchar(255) NOT NULL,
    role varchar(50) NOT NULL,
    invited_by varchar(255) NOT NULL,
    invited_at timestamptz NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT project_members_pkey PRIMARY KEY (id)
);

CREATE TABLE public.user_api_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    key_hash text NOT NULL,
    active boolean DEFAULT true,
    last_used timestamptz,
    expires_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT user_api_keys_pkey PRIMARY KEY (id)
);

CREATE TABLE public.agents (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    project_id uuid NOT NULL,
    user_id uuid,
    tenant_id text NOT NULL,
    name text NOT NULL,
    email text,
    type text DEFAULT 'human' NOT NULL,
    status text DEFAULT 'offline' NOT NULL,
    active boolean DEFAULT true,
    config jsonb,
    virtual_metadata jsonb,
    sessions_handled bigint DEFAULT 0,
    average_response_ms bigint DEFAULT 0,
    last_activity_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT agents_pkey PRIMARY KEY (id)
);

CREATE TABLE public.agent_sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    agent_id uuid NOT NULL,
    session_id uuid NOT NULL,
    role_in_session text,
    joined_at timestamptz NOT NULL,
    left_at timestamptz,
    is_active boolean DEFAULT true,
    metadata jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT agent_sessions_pkey PRIMARY KEY (id)
);

CREATE TABLE public.pipelines (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    project_id uuid NOT NULL,
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
    deleted_at timestamptz,
    CONSTRAINT pipelines_pkey PRIMARY KEY (id)
);

CREATE TABLE public.pipeline_statuses (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    pipeline_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    color text,
    status_type text NOT NULL,
    position bigint DEFAULT 0,
    active boolean DEFAULT true,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT pipeline_statuses_pkey PRIMARY KEY (id)
);

CREATE TABLE public.contact_pipeline_statuses (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    contact_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    status_id uuid NOT NULL,
    tenant_id text NOT NULL,
    entered_at timestamptz NOT NULL,
    exited_at timestamptz,
    duration bigint,
    notes text,
    metadata jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT contact_pipeline_statuses_pkey PRIMARY KEY (id)
);

CREATE TABLE public.channels (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    project_id uuid NOT NULL,
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
    pipeline_id uuid,
    session_timeout_minutes bigint,
    ai_enabled boolean DEFAULT false,
    ai_agents_enabled boolean DEFAULT false,
    allow_groups boolean DEFAULT false,
    tracking_enabled boolean DEFAULT false,
    debounce_timeout_ms bigint DEFAULT 15000 NOT NULL,
    messages_received bigint DEFAULT 0,
    messages_sent bigint DEFAULT 0,
    last_message_at timestamptz,
    last_error_at timestamptz,
    last_error text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    history_import_enabled boolean DEFAULT false NOT NULL,
    last_import_date timestamp,
    history_import_status varchar(50) DEFAULT 'idle',
    history_import_stats jsonb,
    default_agent_id uuid,
    history_import_max_days integer,
    history_import_max_messages_per_chat integer,
    CONSTRAINT channels_pkey PRIMARY KEY (id)
);

CREATE TABLE public.channel_types (
    id bigint NOT NULL,
    name text NOT NULL,
    description text,
    provider text NOT NULL,
    configuration jsonb,
    active boolean DEFAULT true,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT channel_types_pkey PRIMARY KEY (id)
);

CREATE TABLE public.contacts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    project_id uuid NOT NULL,
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
    deleted_at timestamptz,
    CONSTRAINT contacts_pkey PRIMARY KEY (id)
);

CREATE TABLE public.contact_custom_fields (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    contact_id uuid NOT NULL,
    tenant_id text NOT NULL,
    field_key text NOT NULL,
    field_type text NOT NULL,
    field_value jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT contact_custom_fields_pkey PRIMARY KEY (id)
);

CREATE TABLE public.contact_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    contact_id uuid NOT NULL,
    session_id uuid,
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
    deleted_at timestamptz,
    CONSTRAINT contact_events_pkey PRIMARY KEY (id)
);

CREATE TABLE public.contact_event_store (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_type varchar(50) DEFAULT 'contact' NOT NULL,
    event_type varchar(100) NOT NULL,
    event_version varchar(10) DEFAULT 'v1' NOT NULL,
    sequence_number bigint NOT NULL,
    event_data jsonb NOT NULL,
    metadata jsonb,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    tenant_id varchar(255) NOT NULL,
    project_id uuid,
    causation_id uuid,
    correlation_id uuid,
    CONSTRAINT contact_event_store_pkey PRIMARY KEY (id)
);

CREATE TABLE public.chats (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    project_id uuid NOT NULL,
    tenant_id text NOT NULL,
    chat_type text NOT NULL,
    external_id text,
    subject varchar(255),
    description text,
    participants jsonb NOT NULL,
    status text DEFAULT 'active' NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb,
    last_message_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT chats_pkey PRIMARY KEY (id)
);

CREATE TABLE public.sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    contact_id uuid NOT NULL,
    tenant_id text NOT NULL,
    channel_type_id bigint,
    pipeline_id uuid,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    status text DEFAULT 'active',
    end_reason text,
    timeout_duration bigint DEFAULT '1800000000000'::bigint,
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
    deleted_at timestamptz,
    CONSTRAINT sessions_pkey PRIMARY KEY (id)
);

CREATE TABLE public.messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    user_id uuid NOT NULL,
    project_id uuid NOT NULL,
    channel_type_id bigint,
    from_me boolean DEFAULT false,
    channel_id uuid NOT NULL,
    chat_id uuid,
    contact_id uuid NOT NULL,
    session_id uuid,
    content_type text DEFAULT 'text' NOT NULL,
    text text,
    media_url text,
    media_mimetype text,
    channel_message_id text,
    reply_to_id uuid,
    status text DEFAULT 'sent',
    language text,
    agent_id uuid,
    source varchar(20) DEFAULT 'manual' NOT NULL,
    metadata jsonb,
    mentions text[],
    delivered_at timestamptz,
    read_at timestamptz,
    played_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (id)
);

CREATE TABLE public.message_groups (
    id uuid NOT NULL,
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
    updated_at timestamptz NOT NULL,
    CONSTRAINT message_groups_pkey PRIMARY KEY (id)
);

CREATE TABLE public.message_enrichments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    message_id uuid NOT NULL,
    message_group_id uuid NOT NULL,
    content_type varchar(50) NOT NULL,
    provider varchar(50) NOT NULL,
    media_url text NOT NULL,
    status varchar(50) DEFAULT 'pending' NOT NULL,
    extracted_text text,
    metadata jsonb,
    processing_time_ms bigint,
    error text,
    context varchar(50),
    created_at timestamptz DEFAULT now() NOT NULL,
    processed_at timestamptz,
    CONSTRAINT message_enrichments_pkey PRIMARY KEY (id)
);

CREATE TABLE public.agent_ai_interactions (
    id uuid NOT NULL,
    group_id uuid NOT NULL,
    session_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    tenant_id varchar(255) NOT NULL,
    concatenated_content text NOT NULL,
    message_count bigint NOT NULL,
    enrichment_count bigint NOT NULL,
    sent_to_ai boolean DEFAULT false NOT NULL,
    ai_response text,
    a_iprovider varchar(50),
    ai_model varchar(100),
    processing_time_ms bigint,
    created_at timestamptz DEFAULT now() NOT NULL,
    sent_at timestamptz,
    response_received_at timestamptz,
    CONSTRAINT agent_ai_interactions_pkey PRIMARY KEY (id)
);

CREATE TABLE public.outbox_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_type varchar(100) NOT NULL,
    event_type varchar(100) NOT NULL,
    event_version varchar(20) DEFAULT 'v1' NOT NULL,
    event_data jsonb NOT NULL,
    metadata jsonb,
    tenant_id varchar(100),
    project_id uuid,
    created_at timestamptz DEFAULT now() NOT NULL,
    processed_at timestamptz,
    status varchar(20) DEFAULT 'pending' NOT NULL,
    retry_count bigint DEFAULT 0 NOT NULL,
    last_error text,
    last_retry_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT outbox_events_pkey PRIMARY KEY (id)
);

CREATE SEQUENCE public.processed_events_id_seq;
CREATE TABLE public.processed_events (
    id bigint DEFAULT nextval('processed_events_id_seq'::regclass) NOT NULL,
    event_id uuid NOT NULL,
    consumer_name varchar(100) NOT NULL,
    processed_at timestamptz DEFAULT now() NOT NULL,
    processing_duration_ms bigint,
    CONSTRAINT processed_events_pkey PRIMARY KEY (id)
);

CREATE TABLE public.domain_event_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
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
    deleted_at timestamptz,
    CONSTRAINT domain_event_logs_pkey PRIMARY KEY (id)
);

CREATE TABLE public.trackings (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
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
    CONSTRAINT trackings_pkey PRIMARY KEY (id)
);

CREATE TABLE public.tracking_enrichments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tracking_id uuid NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    ad_account_id text,
    ad_account_name text,
    campaign_id text,
    campaign_name text,
    adset_id text,
    adset_name text,
    ad_id text,
    ad_name text,
    ad_creative_id text,
    creative_type text,
    creative_format text,
    creative_body text,
    creative_title text,
    creative_url text,
    targeting_data jsonb,
    audience_name text,
    impressions bigint,
    clicks bigint,
    spend numeric,
    ctr numeric,
    cpc numeric,
    raw_api_data jsonb,
    enriched_at timestamptz NOT NULL,
    enrichment_type text,
    api_version text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT tracking_enrichments_pkey PRIMARY KEY (id)
);

CREATE TABLE public.notes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    contact_id uuid NOT NULL,
    session_id uuid,
    tenant_id text NOT NULL,
    author_id uuid NOT NULL,
    author_type text NOT NULL,
    author_name text NOT NULL,
    content text NOT NULL,
    note_type text NOT NULL,
    priority text DEFAULT 'normal' NOT NULL,
    visible_to_client boolean DEFAULT false,
    pinned boolean DEFAULT false,
    tags text[],
    mentions jsonb,
    attachments text[],
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT notes_pkey PRIMARY KEY (id)
);

CREATE TABLE public.webhook_subscriptions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    project_id uuid NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    events text[],
    subscribe_contact_events boolean DEFAULT false,
    contact_event_types text[],
    contact_event_categories text[],
    active boolean DEFAULT true,
    secret text,
    headers jsonb,
    retry_count bigint DEFAULT 3,
    timeout_seconds bigint DEFAULT 30,
    last_triggered_at timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    success_count bigint DEFAULT 0,
    failure_count bigint DEFAULT 0,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT webhook_subscriptions_pkey PRIMARY KEY (id)
);

CREATE TABLE public.credentials (
    id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    tenant_id varchar(255) NOT NULL,
    project_id uuid,
    credential_type varchar(50) NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    encrypted_value_ciphertext text NOT NULL,
    encrypted_value_nonce text NOT NULL,
    oauth_access_token_ciphertext text,
    oauth_access_token_nonce text,
    oauth_refresh_token_ciphertext text,
    oauth_refresh_token_nonce text,
    oauth_token_type varchar(20),
    oauth_expires_at timestamptz,
    metadata jsonb DEFAULT '{}'::jsonb,
    is_active boolean DEFAULT true NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT credentials_pkey PRIMARY KEY (id)
);

-- Constraints -------------------------------------------------------------------------------------

ALTER TABLE public.users ADD CONSTRAINT uni_users_email UNIQUE (email);
ALTER TABLE public.projects ADD CONSTRAINT uni_projects_tenant_id UNIQUE (tenant_id);
ALTER TABLE public.channels ADD CONSTRAINT uni_channels_webhook_id UNIQUE (webhook_id);
ALTER TABLE public.channel_types ADD CONSTRAINT uni_channel_types_name UNIQUE (name);
ALTER TABLE public.chats ADD CONSTRAINT uq_chats_external_id UNIQUE (external_id);
ALTER TABLE public.outbox_events ADD CONSTRAINT uni_outbox_events_event_id UNIQUE (event_id);
ALTER TABLE public.trackings ADD CONSTRAINT uni_trackings_click_id UNIQUE (click_id);
ALTER TABLE public.contact_event_store ADD CONSTRAINT uni_contact_event_store_sequence_number UNIQUE (sequence_number);
ALTER TABLE public.processed_events ADD CONSTRAINT uni_processed_events_event_id_consumer_name UNIQUE (event_id, consumer_name);
ALTER TABLE public.billing_accounts ADD CONSTRAINT fk_billing_accounts_user
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.projects ADD CONSTRAINT fk_projects_user
    FOREIGN KEY (user_id) REFERENCES public.users (id);
ALTER TABLE public.projects ADD CONSTRAINT fk_projects_billing_account
    FOREIGN KEY (billing_account_id) REFERENCES public.billing_accounts (id);
ALTER TABLE public.user_api_keys ADD CONSTRAINT fk_user_api_keys_user
    FOREIGN KEY (user_id) REFERENCES public.users (id);
ALTER TABLE public.agents ADD CONSTRAINT fk_agents_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id);
ALTER TABLE public.agents ADD CONSTRAINT fk_agents_user
    FOREIGN KEY (user_id) REFERENCES public.users (id);
ALTER TABLE public.agent_sessions ADD CONSTRAINT fk_agent_sessions_agent
    FOREIGN KEY (agent_id) REFERENCES public.agents (id);
ALTER TABLE public.agent_sessions ADD CONSTRAINT fk_agent_sessions_session
    FOREIGN KEY (session_id) REFERENCES public.sessions (id);
ALTER TABLE public.pipelines ADD CONSTRAINT fk_pipelines_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id);
ALTER TABLE public.pipeline_statuses ADD CONSTRAINT fk_pipeline_statuses_pipeline
    FOREIGN KEY (pipeline_id) REFERENCES public.pipelines (id);
ALTER TABLE public.contact_pipeline_statuses ADD CONSTRAINT fk_contact_pipeline_statuses_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.contact_pipeline_statuses ADD CONSTRAINT fk_contact_pipeline_statuses_pipeline
    FOREIGN KEY (pipeline_id) REFERENCES public.pipelines (id);
ALTER TABLE public.contact_pipeline_statuses ADD CONSTRAINT fk_contact_pipeline_statuses_status
    FOREIGN KEY (status_id) REFERENCES public.pipeline_statuses (id);
ALTER TABLE public.channels ADD CONSTRAINT fk_channels_user
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.channels ADD CONSTRAINT fk_channels_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id) ON DELETE CASCADE;
ALTER TABLE public.channels ADD CONSTRAINT fk_channels_pipeline
    FOREIGN KEY (pipeline_id) REFERENCES public.pipelines (id) ON DELETE SET NULL;
ALTER TABLE public.channels ADD CONSTRAINT fk_channels_default_agent
    FOREIGN KEY (default_agent_id) REFERENCES public.agents (id) ON DELETE SET NULL;
ALTER TABLE public.contacts ADD CONSTRAINT fk_contacts_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id);
ALTER TABLE public.contact_custom_fields ADD CONSTRAINT fk_contact_custom_fields_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.contact_events ADD CONSTRAINT fk_contact_events_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.contact_events ADD CONSTRAINT fk_contact_events_session
    FOREIGN KEY (session_id) REFERENCES public.sessions (id);
ALTER TABLE public.chats ADD CONSTRAINT fk_chats_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id);
ALTER TABLE public.sessions ADD CONSTRAINT fk_sessions_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.messages ADD CONSTRAINT fk_messages_chat
    FOREIGN KEY (chat_id) REFERENCES public.chats (id);
ALTER TABLE public.messages ADD CONSTRAINT fk_messages_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.messages ADD CONSTRAINT fk_messages_session
    FOREIGN KEY (session_id) REFERENCES public.sessions (id);
ALTER TABLE public.messages ADD CONSTRAINT fk_messages_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id);
ALTER TABLE public.messages ADD CONSTRAINT fk_messages_channel
    FOREIGN KEY (channel_id) REFERENCES public.channels (id) ON DELETE RESTRICT;
ALTER TABLE public.message_enrichments ADD CONSTRAINT fk_message_enrichments_message
    FOREIGN KEY (message_id) REFERENCES public.messages (id) ON DELETE CASCADE;
ALTER TABLE public.message_enrichments ADD CONSTRAINT fk_message_enrichments_message_group
    FOREIGN KEY (message_group_id) REFERENCES public.message_groups (id) ON DELETE CASCADE;
ALTER TABLE public.agent_ai_interactions ADD CONSTRAINT fk_agent_ai_interactions_group
    FOREIGN KEY (group_id) REFERENCES public.message_groups (id);
ALTER TABLE public.agent_ai_interactions ADD CONSTRAINT fk_agent_ai_interactions_session
    FOREIGN KEY (session_id) REFERENCES public.sessions (id);
ALTER TABLE public.agent_ai_interactions ADD CONSTRAINT fk_agent_ai_interactions_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.agent_ai_interactions ADD CONSTRAINT fk_agent_ai_interactions_channel
    FOREIGN KEY (channel_id) REFERENCES public.channels (id);
ALTER TABLE public.notes ADD CONSTRAINT fk_notes_contact
    FOREIGN KEY (contact_id) REFERENCES public.contacts (id);
ALTER TABLE public.notes ADD CONSTRAINT fk_notes_session
    FOREIGN KEY (session_id) REFERENCES public.sessions (id);
ALTER TABLE public.webhook_subscriptions ADD CONSTRAINT fk_webhook_subscriptions_user
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.webhook_subscriptions ADD CONSTRAINT fk_webhook_subscriptions_project
    FOREIGN KEY (project_id) REFERENCES public.projects (id) ON DELETE CASCADE;
ALTER TABLE public.users ADD CONSTRAINT chk_users_role
    CHECK (role IN ('admin', 'user', 'manager', 'readonly'));
ALTER TABLE public.messages ADD CONSTRAINT chk_messages_source CHECK (source IN (
    'manual', 'broadcast', 'sequence', 'trigger', 'bot', 'system', 'webhook', 'scheduled', 'test',
    'history_import'
));

-- Indexes -----------------------------------------------------------------------------------------

CREATE UNIQUE INDEX idx_user_api_keys_key_hash ON public.user_api_keys (key_hash);
CREATE INDEX idx_channels_history_import
    ON public.channels (history_import_enabled, history_import_status)
    WHERE history_import_enabled = true;
CREATE INDEX idx_channels_default_agent_id ON public.channels (default_agent_id)
    WHERE default_agent_id IS NOT NULL;
CREATE INDEX idx_contacts_phone ON public.contacts (phone);
CREATE INDEX idx_contacts_external_id ON public.contacts (external_id);
CREATE INDEX idx_contacts_tags ON public.contacts USING gin (tags);
CREATE INDEX idx_outbox_metadata_saga ON public.outbox_events USING gin (metadata);
CREATE UNIQUE INDEX idx_messages_unique_channel_msg_id
    ON public.messages (channel_id, channel_message_id)
    WHERE channel_message_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX idx_messages_metadata ON public.messages USING gin (metadata);
CREATE INDEX idx_messages_tenant_timestamp ON public.messages (tenant_id, "timestamp");
CREATE INDEX idx_messages_tenant_contact ON public.messages (tenant_id, contact_id);
CREATE INDEX idx_messages_tenant_session ON public.messages (tenant_id, session_id);
CREATE INDEX idx_messages_agent_source ON public.messages (agent_id, source);
DO $$
DECLARE name text;
BEGIN
    -- With the primary key and those above 28; the mapper names an index after table and column.
    FOREACH name IN ARRAY ARRAY[
        'tenant_id', 'timestamp', 'user_id', 'project_id', 'channel_type_id', 'from_me',
        'channel_id', 'chat_id', 'contact_id', 'session_id', 'content_type', 'channel_message_id',
        'reply_to_id', 'status', 'language', 'agent_id', 'source', 'delivered_at', 'created_at',
        'updated_at', 'deleted_at'
    ] LOOP
        EXECUTE format('CREATE INDEX idx_messages_%s ON public.messages (%I)', name, name);
    END LOOP;
END $$;

-- Other tables that a migration must leave alone ---------------------------------------------------

CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
INSERT INTO public.schema_migrations VALUES (52, false);
CREATE TABLE public.automations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id text NOT NULL, name text,
    a_iprovider text, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz
);
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'broadcasts', 'campaigns', 'contact_lists', 'contact_snapshots', 'invoices',
        'sequence_steps', 'sequences', 'subscriptions', 'usage_meters'
    ] LOOP
        EXECUTE format(
            'CREATE TABLE public.%I (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),'
            ' version bigint NOT NULL DEFAULT 1, tenant_id text, created_at timestamptz,'
            ' updated_at timestamptz, deleted_at timestamptz)', name
        );
    END LOOP;
END $$;
-- Something of a person's that no one but the CRM knows.
CREATE TABLE public.sequence_enrollments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), version bigint NOT NULL DEFAULT 1,
    sequence_id uuid, contact_id uuid NOT NULL, created_at timestamptz, updated_at timestamptz,
    CONSTRAINT fk_sequence_enrollments_contact
        FOREIGN KEY (contact_id) REFERENCES public.contacts (id)
);

-- The outbox --------------------------------------------------------------------------------------

CREATE FUNCTION public.notify_outbox_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox_events', NEW.id::text);
    RETURN NEW;
END;
$$;
CREATE TRIGGER trigger_notify_outbox_event
    AFTER INSERT ON public.outbox_events FOR EACH ROW
    WHEN (NEW.status::text = 'pending')
    EXECUTE FUNCTION public.notify_outbox_event();

-- Row-level security: for the project's owner, and only where somebody is app_user -----------------

DO $$
DECLARE
    name text;
    owned text := 'user_id::text = current_setting(''app.current_user_id'', true)';
    of_project text := 'project_id IN (SELECT id FROM public.projects WHERE ' || owned || ')';
    of_contact text := 'contact_id IN (SELECT id FROM public.contacts WHERE ' || of_project || ')';
    of_pipeline text :=
        'pipeline_id IN (SELECT id FROM public.pipelines WHERE ' || of_project || ')';
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'projects', 'pipelines', 'pipeline_statuses', 'contacts', 'contact_pipeline_statuses',
        'messages', 'sessions', 'webhook_subscriptions', 'channels'
    ] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY %I ON public.%I TO app_user USING (%s)', name || '_user_isolation', name,
            CASE
                WHEN name IN ('projects', 'webhook_subscriptions', 'channels') THEN owned
                WHEN name IN ('pipelines', 'contacts') THEN of_project
                WHEN name = 'pipeline_statuses' THEN of_pipeline
                ELSE of_contact
            END
        );
    END LOOP;
END $$;

-- What a CRM in use holds --------------------------------------------------------------------------

INSERT INTO public.channel_types (id, name, provider) VALUES
    (1, 'waha', 'waha'), (2, 'whatsapp', 'meta'), (3, 'direct_ig', 'meta'),
    (4, 'messenger', 'meta'), (5, 'telegram', 'telegram');
INSERT INTO public.users (id, name, email, password_hash, role) VALUES
    ('00000000-0000-0000-0000-00000000aa01', 'Dona', 'dona@example.org', 'secret', 'admin');
INSERT INTO public.user_api_keys (user_id, name, key_hash) VALUES
    ('00000000-0000-0000-0000-00000000aa01', 'key', 'secret');
INSERT INTO public.billing_accounts (id, user_id, name, billing_email) VALUES (
    '00000000-0000-0000-0000-00000000aa02', '00000000-0000-0000-0000-00000000aa01', 'Loja',
    'dona@example.org'
);
INSERT INTO public.projects (id, user_id, billing_account_id, tenant_id, name) VALUES (
    '00000000-0000-0000-0000-00000000aa03', '00000000-0000-0000-0000-00000000aa01',
    '00000000-0000-0000-0000-00000000aa02', 'user-ab12cd34', 'Loja'
);
INSERT INTO public.agents (id, project_id, tenant_id, name, type) VALUES (
    '00000000-0000-0000-0000-000000000099', '00000000-0000-0000-0000-00000000aa03',
    'user-ab12cd34', 'System - Default', 'system'
);
RESET ROLE;
