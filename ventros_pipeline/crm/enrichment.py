"""Asking the CRM to enrich imported media: how many, at what price, and the request itself.

What belongs here: the order of the statements in `sql/enrichment/`. What does not: which kinds go
to whom (`transform/enrichment.py`), and the enriching, which is the CRM's own.

A request is a row of `message_enrichments` with the status `pending` under a `message_group` with
the status `completed`. The CRM's enrichment worker polls for `pending` rows and nothing else; the
group is there because the column must not be null. No outbox event is written, because the event
of an enrichment is what a live message raises, and its listeners are business webhooks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from psycopg import Cursor
from psycopg.rows import dict_row
from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.load import transaction
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.transform.enrichment import (
    DEFAULT_CONTEXT,
    ENDINGS,
    KINDS,
    UNRULED,
    rules_for,
)

FITS = "fits"
# What another budget would let through.
BUDGET_REASONS = ("over_budget", "price_unknown")
NOT_SERVED = (
    "{messages} stored files cannot be fetched by the CRM: serve the archive's folder media to it "
    "and set VENTROS_MEDIA_URL."
)
NOT_FETCHED = (
    "{messages} files were never fetched: materialise message_media for these kinds first."
)
AI_OFF = "The channel's own AI is off in the CRM (ai_enabled): live media is not enriched there."


@dataclass(frozen=True)
class Order:
    """What a person asks for.

    Attributes:
        prices: USD for a unit, by provider.
        media_url: where the CRM reaches the archive's media folder; null when nowhere.
        kinds: content types; empty for those that the channel and the rules say.
        context: what vision looks for, of `transform.enrichment.CONTEXTS`.
        outgoing: whether media that we sent is enriched, too.
        max_messages: most messages; null for any number.
        max_usd: most money; null for any sum, and then what has no known price is taken, too.
    """

    prices: Mapping[str, float]
    media_url: str | None = None
    kinds: Sequence[str] = ()
    context: str = DEFAULT_CONTEXT
    outgoing: bool = False
    max_messages: int | None = None
    max_usd: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What an order comes to.

    Attributes:
        lines: by kind, provider and outcome (`fits`, or the reason why not): messages, bytes,
            seconds and pages as far as they are known, how many have no known size or price, USD.
        notes: what a person should know or do.
    """

    lines: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """How many messages fit into the budget."""
        return int(self._sum("messages", FITS))

    @property
    def usd(self) -> float:
        """What those cost whose price is known."""
        return round(self._sum("usd", FITS), 6)

    @property
    def price_unknown(self) -> int:
        """How many of those that fit have no known price."""
        return int(self._sum("price_unknown", FITS))

    @property
    def possible_messages(self) -> int:
        """How many messages could be enriched, whatever the budget."""
        return int(self._sum("messages", FITS, *BUDGET_REASONS))

    @property
    def possible_usd(self) -> float:
        """What all of those cost whose price is known."""
        return round(self._sum("usd", FITS, *BUDGET_REASONS), 6)

    @property
    def left_out(self) -> dict[str, int]:
        """Messages that are not asked for, by reason."""
        reasons = sorted({line["outcome"] for line in self.lines} - {FITS})
        return {reason: int(self._sum("messages", reason)) for reason in reasons}

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "messages": self.messages,
            "usd": self.usd,
            "price_unknown": self.price_unknown,
            "possible_messages": self.possible_messages,
            "possible_usd": self.possible_usd,
            "left_out": self.left_out,
            "lines": [dict(line) for line in self.lines],
            "notes": list(self.notes),
        }

    def _sum(self, name: str, *outcomes: str) -> float:
        return sum((line[name] for line in self.lines if line["outcome"] in outcomes), 0.0)


def estimate(engine: Engine, channel: Channel, order: Order) -> Estimate:
    """Say what `enrich` would ask for; writes nothing."""
    with of_channel(engine, channel).begin() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise ConnectionError("the database connection was closed")
        with raw.cursor() as cursor:
            found = _judge(cursor, channel, order)
        raw.rollback()
    return found


def enrich(engine: Engine, channel: Channel, order: Order, run_id: str) -> Estimate:
    """Ask the CRM to enrich what the order says, newest messages first; return what was asked for.

    Asking again asks for nothing twice. Requests for messages that were revoked since are taken
    back if the CRM has not begun with them.
    """
    values = {"channel_id": channel.id, "run_id": run_id, "context": order.context}
    with transaction(engine, channel, run_id) as cursor:
        cursor.execute(read_sql("enrichment/withdraw_revoked.sql"), values)
        cursor.execute(read_sql("enrichment/follow_messages.sql"), values)
        found = _judge(cursor, channel, order)
        cursor.execute(read_sql("enrichment/insert_groups.sql"), values)
        cursor.execute(read_sql("enrichment/insert_enrichments.sql"), values)
    return found


def _judge(cursor: Cursor[Any], channel: Channel, order: Order) -> Estimate:
    """Make `judged_media` and sum it up."""
    config, ai_enabled = _ai_settings(cursor, channel)
    values = {
        "channel_id": channel.id,
        "rules": json.dumps(rules_for(config, order.kinds, order.prices)),
        "endings": json.dumps(ENDINGS),
        "kinds": [*KINDS, *UNRULED],
        "media_url": order.media_url and order.media_url.rstrip("/"),
        "outgoing": order.outgoing,
        "max_messages": order.max_messages,
        # As a decimal: ten cents are ten cents.
        "max_usd": None if order.max_usd is None else Decimal(str(order.max_usd)),
    }
    cursor.execute(read_sql("enrichment/judge_media.sql"), values)
    cursor.execute(read_sql("enrichment/spend_budget.sql"), values)
    with cursor.connection.cursor(row_factory=dict_row) as counting:
        lines = counting.execute(read_sql("enrichment/count_judged.sql")).fetchall()
    found = Estimate(lines)
    return Estimate(lines, _notes(found.left_out, ai_enabled=ai_enabled))


def _ai_settings(cursor: Cursor[Any], channel: Channel) -> tuple[object, bool]:
    cursor.execute(read_sql("enrichment/select_ai_settings.sql"), {"channel_id": channel.id})
    config, ai_enabled = cursor.fetchone() or (None, False)
    return config, ai_enabled


def _notes(left_out: Mapping[str, int], *, ai_enabled: bool) -> list[str]:
    notes = [] if ai_enabled else [AI_OFF]
    for reason, note in (("file_not_served", NOT_SERVED), ("file_not_fetched", NOT_FETCHED)):
        if messages := left_out.get(reason):
            notes.append(note.format(messages=messages))
    return notes
