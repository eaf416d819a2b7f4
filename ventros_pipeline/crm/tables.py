"""The CRM's tables as SQLAlchemy Core sees them: what `sql/0001_crm_baseline.sql` creates.

What belongs here: the CRM's own tables, column by column. What does not: the schema `history_sync`
(its statements are plain SQL under `sql/`), and any rule about what a value means. The database is
the authority; a test compares the two catalogs and names each difference.

Everything is qualified with `public`: the CRM's own migrations broke on an emptied search_path.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    UUID,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Constraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

TIMESTAMPTZ = DateTime(timezone=True)
# None means SQL NULL: the default would store the JSON value null, which IS NULL does not find.
JSON = JSONB(none_as_null=True)


def _relation(constraint: Constraint, _table: Table) -> str:
    """Name a foreign key after its column without `_id`, as the CRM's object mapper does."""
    assert isinstance(constraint, ForeignKeyConstraint)  # noqa: S101  only used for "fk"
    return constraint.column_keys[0].removesuffix("_id")


metadata = MetaData(
    schema="public",
    naming_convention={
        "relation": _relation,
        "fk": "fk_%(table_name)s_%(relation)s",
        "pk": "%(table_name)s_pkey",
    },
)


def _id(*, generated: bool = True) -> Column[Any]:
    default = text("gen_random_uuid()") if generated else None
    return Column("id", UUID, primary_key=True, server_default=default)


def _version() -> Column[Any]:
    """The optimistic lock of the CRM: whoever updates a row adds one."""
    return Column("version", BigInteger, nullable=False, server_default=text("1"))


def _stamps() -> tuple[Column[Any], ...]:
    """Soft delete: for the CRM a row with `deleted_at` is gone, but unique constraints see it."""
    return tuple(Column(name, TIMESTAMPTZ) for name in ("created_at", "updated_at", "deleted_at"))


def _to(table: str, *, ondelete: str | None = None) -> ForeignKey:
    return ForeignKey(f"public.{table}.id", ondelete=ondelete)


users = Table(
    "users",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("status", Text, server_default=text("'active'")),
    Column("role", Text, server_default=text("'user'")),
    Column("settings", JSON),
    *_stamps(),
    UniqueConstraint("email", name="uni_users_email"),
    CheckConstraint("role IN ('admin', 'user', 'manager', 'readonly')", name="chk_users_role"),
)

billing_accounts = Table(
    "billing_accounts",
    metadata,
    _id(),
    _version(),
    Column("user_id", UUID, _to("users", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("stripe_customer_id", Text),
    Column("payment_status", Text, nullable=False, server_default=text("'pending'")),
    Column("payment_methods", JSON),
    Column("billing_email", Text, nullable=False),
    Column("suspended", Boolean, server_default=text("false")),
    Column("suspended_at", TIMESTAMPTZ),
    Column("suspension_reason", Text),
    *_stamps(),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    _version(),
    Column("user_id", UUID, _to("users"), nullable=False),
    Column("billing_account_id", UUID, _to("billing_accounts"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("configuration", JSON),
    Column("active", Boolean, server_default=text("true")),
    Column("session_timeout_minutes", BigInteger, nullable=False, server_default=text("30")),
    *_stamps(),
    UniqueConstraint("tenant_id", name="uni_projects_tenant_id"),
)

project_members = Table(
    "project_members",
    metadata,
    _id(generated=False),
    _version(),
    Column("project_id", UUID, nullable=False),
    Column("agent_id", String(255), nullable=False),
    Column("role", String(50), nullable=False),
    Column("invited_by", String(255), nullable=False),
    Column("invited_at", TIMESTAMPTZ, nullable=False),
    *_stamps(),
)

user_api_keys = Table(
    "user_api_keys",
    metadata,
    _id(),
    Column("user_id", UUID, _to("users"), nullable=False),
    Column("name", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("active", Boolean, server_default=text("true")),
    Column("last_used", TIMESTAMPTZ),
    Column("expires_at", TIMESTAMPTZ),
    *_stamps(),
    Index("idx_user_api_keys_key_hash", "key_hash", unique=True),
)

agents = Table(
    "agents",
    metadata,
    _id(),
    _version(),
    Column("project_id", UUID, _to("projects"), nullable=False),
    Column("user_id", UUID, _to("users")),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("type", Text, nullable=False, server_default=text("'human'")),
    Column("status", Text, nullable=False, server_default=text("'offline'")),
    Column("active", Boolean, server_default=text("true")),
    Column("config", JSON),
    Column("virtual_metadata", JSON),
    Column("sessions_handled", BigInteger, server_default=text("0")),
    Column("average_response_ms", BigInteger, server_default=text("0")),
    Column("last_activity_at", TIMESTAMPTZ),
    *_stamps(),
)

pipelines = Table(
    "pipelines",
    metadata,
    _id(),
    _version(),
    Column("project_id", UUID, _to("projects"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("color", Text),
    Column("position", BigInteger, server_default=text("0")),
    Column("active", Boolean, server_default=text("true")),
    Column("session_timeout_minutes", BigInteger),
    Column("enable_ai_summary", Boolean, server_default=text("false")),
    Column("a_iprovider", Text),
    Column("ai_model", Text),
    *_stamps(),
)

pipeline_statuses = Table(
    "pipeline_statuses",
    metadata,
    _id(),
    _version(),
    Column("pipeline_id", UUID, _to("pipelines"), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("color", Text),
    Column("status_type", Text, nullable=False),
    Column("position", BigInteger, server_default=text("0")),
    Column("active", Boolean, server_default=text("true")),
    *_stamps(),
)

channel_types = Table(
    "channel_types",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("provider", Text, nullable=False),
    Column("configuration", JSON),
    Column("active", Boolean, server_default=text("true")),
    *_stamps(),
    UniqueConstraint("name", name="uni_channel_types_name"),
)

channels = Table(
    "channels",
    metadata,
    _id(),
    Column("user_id", UUID, _to("users", ondelete="CASCADE"), nullable=False),
    Column("project_id", UUID, _to("projects", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, server_default=text("'inactive'")),
    Column("external_id", Text),
    Column("config", JSON),
    Column("webhook_id", Text),
    Column("webhook_url", Text),
    Column("webhook_configured_at", TIMESTAMPTZ),
    Column("webhook_active", Boolean, server_default=text("false")),
    Column("pipeline_id", UUID, _to("pipelines", ondelete="SET NULL")),
    Column("session_timeout_minutes", BigInteger),
    Column("ai_enabled", Boolean, server_default=text("false")),
    Column("ai_agents_enabled", Boolean, server_default=text("false")),
    Column("allow_groups", Boolean, server_default=text("false")),
    Column("tracking_enabled", Boolean, server_default=text("false")),
    Column("debounce_timeout_ms", BigInteger, nullable=False, server_default=text("15000")),
    Column("messages_received", BigInteger, server_default=text("0")),
    Column("messages_sent", BigInteger, server_default=text("0")),
    Column("last_message_at", TIMESTAMPTZ),
    Column("last_error_at", TIMESTAMPTZ),
    Column("last_error", Text),
    *_stamps(),
    Column("history_import_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("last_import_date", DateTime),
    Column("history_import_status", String(50), server_default=text("'idle'")),
    Column("history_import_stats", JSON),
    Column("default_agent_id", UUID, _to("agents", ondelete="SET NULL")),
    Column("history_import_max_days", Integer),
    Column("history_import_max_messages_per_chat", Integer),
    UniqueConstraint("webhook_id", name="uni_channels_webhook_id"),
    Index(
        "idx_channels_history_import",
        "history_import_enabled",
        "history_import_status",
        postgresql_where=text("history_import_enabled"),
    ),
    Index(
        "idx_channels_default_agent",
        "default_agent_id",
        postgresql_where=text("default_agent_id IS NOT NULL"),
    ),
)

contacts = Table(
    "contacts",
    metadata,
    _id(),
    _version(),
    Column("project_id", UUID, _to("projects"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("external_id", Text),
    Column("source_channel", Text),
    Column("language", Text, server_default=text("'en'")),
    Column("timezone", Text),
    Column("tags", JSON),
    Column("profile_picture_url", Text),
    Column("profile_picture_fetched_at", TIMESTAMPTZ),
    Column("first_interaction_at", TIMESTAMPTZ),
    Column("last_interaction_at", TIMESTAMPTZ),
    *_stamps(),
    Index("idx_contacts_phone", "phone"),
    Index("idx_contacts_email", "email"),
    Index("idx_contacts_external_id", "external_id"),
    Index("idx_contacts_tags", "tags", postgresql_using="gin"),
)

contact_custom_fields = Table(
    "contact_custom_fields",
    metadata,
    _id(),
    Column("contact_id", UUID, _to("contacts"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("field_key", Text, nullable=False),
    Column("field_type", Text, nullable=False),
    Column("field_value", JSON),
    *_stamps(),
)

contact_pipeline_statuses = Table(
    "contact_pipeline_statuses",
    metadata,
    _id(),
    Column("contact_id", UUID, _to("contacts"), nullable=False),
    Column("pipeline_id", UUID, _to("pipelines"), nullable=False),
    Column("status_id", UUID, _to("pipeline_statuses"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("entered_at", TIMESTAMPTZ, nullable=False),
    Column("exited_at", TIMESTAMPTZ),
    Column("duration", BigInteger),
    Column("notes", Text),
    Column("metadata", JSON),
    *_stamps(),
)

chats = Table(
    "chats",
    metadata,
    _id(),
    _version(),
    Column("project_id", UUID, _to("projects"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("chat_type", Text, nullable=False),
    Column("external_id", Text),
    Column("subject", String(255)),
    Column("description", Text),
    Column("participants", JSON, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'active'")),
    Column("metadata", JSON, server_default=text("'{}'")),
    Column("last_message_at", TIMESTAMPTZ),
    *_stamps(),
    UniqueConstraint("external_id", name="uq_chats_external_id"),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    _version(),
    Column("contact_id", UUID, _to("contacts"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("channel_type_id", BigInteger),
    Column("pipeline_id", UUID),
    Column("started_at", TIMESTAMPTZ, nullable=False),
    Column("ended_at", TIMESTAMPTZ),
    Column("status", Text, server_default=text("'active'")),
    Column("end_reason", Text),
    Column("timeout_duration", BigInteger, server_default=text("1800000000000")),
    Column("last_activity_at", TIMESTAMPTZ, nullable=False),
    Column("message_count", BigInteger, server_default=text("0")),
    Column("messages_from_contact", BigInteger, server_default=text("0")),
    Column("messages_from_agent", BigInteger, server_default=text("0")),
    Column("duration_seconds", BigInteger, server_default=text("0")),
    Column("first_contact_message_at", TIMESTAMPTZ),
    Column("first_agent_response_at", TIMESTAMPTZ),
    Column("agent_response_time_seconds", BigInteger),
    Column("contact_wait_time_seconds", BigInteger),
    Column("agent_ids", JSON),
    Column("agent_transfers", BigInteger, server_default=text("0")),
    Column("summary", Text),
    Column("sentiment", Text),
    Column("sentiment_score", Numeric),
    Column("topics", JSON),
    Column("next_steps", JSON),
    Column("key_entities", JSON),
    Column("resolved", Boolean, server_default=text("false")),
    Column("escalated", Boolean, server_default=text("false")),
    Column("converted", Boolean, server_default=text("false")),
    Column("outcome_tags", JSON),
    *_stamps(),
)

agent_sessions = Table(
    "agent_sessions",
    metadata,
    _id(),
    Column("agent_id", UUID, _to("agents"), nullable=False),
    Column("session_id", UUID, _to("sessions"), nullable=False),
    Column("role_in_session", Text),
    Column("joined_at", TIMESTAMPTZ, nullable=False),
    Column("left_at", TIMESTAMPTZ),
    Column("is_active", Boolean, server_default=text("true")),
    Column("metadata", JSON),
    *_stamps(),
)

contact_events = Table(
    "contact_events",
    metadata,
    _id(),
    Column("contact_id", UUID, _to("contacts"), nullable=False),
    Column("session_id", UUID, _to("sessions")),
    Column("tenant_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("title", Text),
    Column("description", Text),
    Column("payload", JSON),
    Column("metadata", JSON),
    Column("source", Text, nullable=False),
    Column("triggered_by", UUID),
    Column("integration_source", Text),
    Column("is_realtime", Boolean, server_default=text("true")),
    Column("delivered", Boolean, server_default=text("false")),
    Column("delivered_at", TIMESTAMPTZ),
    Column("read", Boolean, server_default=text("false")),
    Column("read_at", TIMESTAMPTZ),
    Column("visible_to_client", Boolean, server_default=text("true")),
    Column("visible_to_agent", Boolean, server_default=text("true")),
    Column("expires_at", TIMESTAMPTZ),
    Column("occurred_at", TIMESTAMPTZ, nullable=False),
    Column("created_at", TIMESTAMPTZ),
    Column("deleted_at", TIMESTAMPTZ),
)

messages = Table(
    "messages",
    metadata,
    _id(),
    Column("tenant_id", Text, nullable=False),
    Column("timestamp", TIMESTAMPTZ, nullable=False),
    Column("user_id", UUID, nullable=False),
    Column("project_id", UUID, _to("projects"), nullable=False),
    Column("channel_type_id", BigInteger),
    Column("from_me", Boolean, server_default=text("false")),
    Column("channel_id", UUID, _to("channels", ondelete="RESTRICT"), nullable=False),
    Column("chat_id", UUID, _to("chats")),
    Column("contact_id", UUID, _to("contacts"), nullable=False),
    Column("session_id", UUID, _to("sessions")),
    Column("content_type", Text, nullable=False, server_default=text("'text'")),
    Column("text", Text),
    Column("media_url", Text),
    Column("media_mimetype", Text),
    Column("channel_message_id", Text),
    Column("reply_to_id", UUID),
    Column("status", Text, server_default=text("'sent'")),
    Column("language", Text),
    Column("agent_id", UUID),
    Column("source", String(20), nullable=False, server_default=text("'manual'")),
    Column("metadata", JSON),
    Column("mentions", ARRAY(Text)),
    Column("delivered_at", TIMESTAMPTZ),
    Column("read_at", TIMESTAMPTZ),
    Column("played_at", TIMESTAMPTZ),
    *_stamps(),
    CheckConstraint(
        "source IN ('manual', 'broadcast', 'sequence', 'trigger', 'bot', 'system', 'webhook', "
        "'scheduled', 'test', 'history_import')",
        name="chk_messages_source",
    ),
    Index(
        "idx_messages_unique_channel_msg_id",
        "channel_id",
        "channel_message_id",
        unique=True,
        postgresql_where=text("channel_message_id IS NOT NULL AND deleted_at IS NULL"),
    ),
    Index("idx_messages_channel_message_id", "channel_message_id"),
    Index("idx_messages_metadata", "metadata", postgresql_using="gin"),
    Index("idx_messages_tenant_timestamp", "tenant_id", "timestamp"),
    Index("idx_messages_tenant_contact", "tenant_id", "contact_id"),
    Index("idx_messages_tenant_session", "tenant_id", "session_id"),
    Index("idx_messages_agent_source", "agent_id", "source"),
    Index("idx_messages_tenant", "tenant_id"),
    Index("idx_messages_timestamp", "timestamp"),
    Index("idx_messages_user", "user_id"),
    Index("idx_messages_project", "project_id"),
    Index("idx_messages_channel_type", "channel_type_id"),
    Index("idx_messages_from_me", "from_me"),
    Index("idx_messages_channel", "channel_id"),
    Index("idx_messages_chat_id", "chat_id"),
    Index("idx_messages_contact", "contact_id"),
    Index("idx_messages_session", "session_id"),
    Index("idx_messages_content_type", "content_type"),
    Index("idx_messages_status", "status"),
    Index("idx_messages_agent", "agent_id"),
    Index("idx_messages_source", "source"),
    Index("idx_messages_delivered_at", "delivered_at"),
    Index("idx_messages_read_at", "read_at"),
    Index("idx_messages_played_at", "played_at"),
    Index("idx_messages_created", "created_at"),
    Index("idx_messages_updated", "updated_at"),
    Index("idx_messages_deleted", "deleted_at"),
)

message_groups = Table(
    "message_groups",
    metadata,
    _id(generated=False),
    Column("contact_id", UUID, nullable=False),
    Column("channel_id", UUID, nullable=False),
    Column("session_id", UUID, nullable=False),
    Column("tenant_id", String(255), nullable=False),
    Column("message_ids", ARRAY(Text), nullable=False),
    Column("status", String(50), nullable=False),
    Column("started_at", TIMESTAMPTZ, nullable=False),
    Column("completed_at", TIMESTAMPTZ),
    Column("expires_at", TIMESTAMPTZ, nullable=False),
    Column("created_at", TIMESTAMPTZ, nullable=False),
    Column("updated_at", TIMESTAMPTZ, nullable=False),
)

message_enrichments = Table(
    "message_enrichments",
    metadata,
    _id(),
    Column("message_id", UUID, _to("messages", ondelete="CASCADE"), nullable=False),
    Column("message_group_id", UUID, _to("message_groups", ondelete="CASCADE"), nullable=False),
    Column("content_type", String(50), nullable=False),
    Column("provider", String(50), nullable=False),
    Column("media_url", Text, nullable=False),
    Column("status", String(50), nullable=False, server_default=text("'pending'")),
    Column("extracted_text", Text),
    Column("metadata", JSON),
    Column("processing_time_ms", BigInteger),
    Column("error", Text),
    Column("context", String(50)),
    Column("created_at", TIMESTAMPTZ, nullable=False, server_default=text("now()")),
    Column("processed_at", TIMESTAMPTZ),
)

outbox_events = Table(
    "outbox_events",
    metadata,
    _id(),
    Column("event_id", UUID, nullable=False),
    Column("aggregate_id", UUID, nullable=False),
    Column("aggregate_type", String(100), nullable=False),
    Column("event_type", String(100), nullable=False),
    Column("event_version", String(20), nullable=False, server_default=text("'v1'")),
    Column("event_data", JSON, nullable=False),
    Column("metadata", JSON),
    Column("tenant_id", String(100)),
    Column("project_id", UUID),
    Column("created_at", TIMESTAMPTZ, nullable=False, server_default=text("now()")),
    Column("processed_at", TIMESTAMPTZ),
    Column("status", String(20), nullable=False, server_default=text("'pending'")),
    Column("retry_count", BigInteger, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    Column("last_retry_at", TIMESTAMPTZ),
    Column("deleted_at", TIMESTAMPTZ),
    UniqueConstraint("event_id", name="uni_outbox_events_event_id"),
    Index("idx_outbox_events_metadata", "metadata", postgresql_using="gin"),
)

processed_events = Table(
    "processed_events",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("event_id", UUID, nullable=False),
    Column("consumer_name", String(100), nullable=False),
    Column("processed_at", TIMESTAMPTZ, nullable=False, server_default=text("now()")),
    Column("processing_duration_ms", BigInteger),
    UniqueConstraint(
        "event_id", "consumer_name", name="uni_processed_events_event_id_consumer_name"
    ),
)

domain_event_logs = Table(
    "domain_event_logs",
    metadata,
    _id(),
    Column("event_type", Text, nullable=False),
    Column("aggregate_id", UUID, nullable=False),
    Column("aggregate_type", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("project_id", UUID),
    Column("user_id", UUID),
    Column("payload", JSON),
    Column("occurred_at", TIMESTAMPTZ, nullable=False),
    Column("published_at", TIMESTAMPTZ, nullable=False),
    Column("created_at", TIMESTAMPTZ),
    Column("deleted_at", TIMESTAMPTZ),
)

trackings = Table(
    "trackings",
    metadata,
    _id(),
    Column("contact_id", UUID, nullable=False),
    Column("session_id", UUID),
    Column("tenant_id", Text, nullable=False),
    Column("project_id", UUID, nullable=False),
    Column("source", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("campaign", Text),
    Column("ad_id", Text),
    Column("ad_url", Text),
    Column("click_id", Text),
    Column("conversion_data", Text),
    Column("utm_source", Text),
    Column("utm_medium", Text),
    Column("utm_campaign", Text),
    Column("utm_term", Text),
    Column("utm_content", Text),
    Column("metadata", JSON),
    Column("created_at", TIMESTAMPTZ, nullable=False),
    Column("updated_at", TIMESTAMPTZ, nullable=False),
    Column("deleted_at", TIMESTAMPTZ),
    UniqueConstraint("click_id", name="uni_trackings_click_id"),
)
