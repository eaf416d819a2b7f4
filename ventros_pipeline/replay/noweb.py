"""What WAHA's NOWEB engine (2026.4.1, sqlite store) answers to each request of a reader.

Belongs here: its listings, their defaults, complaints and quirks, each as recorded from a live
server. Does not belong here: what all engines share (`engine`), rows and listings (`account`),
sending and spoiling answers (`server`).
"""

from collections.abc import Callable
from typing import Any, ClassVar

from ventros_pipeline.replay.account import Item
from ventros_pipeline.replay.engine import Call, Engine, Paging, without_participants
from ventros_pipeline.replay.ids import to_jid
from ventros_pipeline.replay.store import Look, Scope
from ventros_pipeline.replay.stored import NOTES, Json, Stored
from ventros_pipeline.replay.wire import Answer, join_array, js_dumps, refuse, sql_error

_SQL_INTEGER = float(2**63 - 1)


class Noweb(Engine):
    """The engine whose shape the account is stored in: rows are served byte for byte."""

    name: ClassVar[str] = "NOWEB"
    config: ClassVar[Json] = {
        "noweb": {"markOnline": True, "store": {"enabled": True, "fullSync": True}}
    }

    def edited(self, row: Stored, body: str, at: int) -> Json:
        """Overwrite the content with a wrapped one, and the time with the time of the edit."""
        message = {name: value for name, value in row.message.items() if name != NOTES}
        edit = {"editedMessage": {"message": {"conversation": body}}}
        data = row.data | {"message": edit, "messageTimestamp": at}
        return message | {"timestamp": at, "body": body, "_data": data}

    # -- chats ------------------------------------------------------------------------------

    async def chats(self, call: Call) -> Answer:
        """List chats; no default limit, newest first."""
        paging = Paging.read(call.query, ("conversationTimestamp", "id", "name"))
        merge = call.query.boolean("merge", True) is not False and not self.is_old
        call.query.done()
        await self._working(call)
        sort_by = paging.sort_by or "conversationTimestamp"
        column = f"chats.data->'$.{sort_by}'" if sort_by == "name" else f"`{sort_by}`"
        table = _FOLDED_CHATS if merge else _PLAIN_CHATS
        direction = _check_sql(paging, lambda word: f"{table} order by {column} {word}", True)
        if sort_by == "name" and merge:
            statement = f"{table} order by {column} {paging.sort_order or 'desc'}"
            limit = f" limit {_js_integer(paging.limit)}" if paging.limit else ""
            raise sql_error(statement + limit, "SQLITE_ERROR", 1, "no such column: chats.data")
        rows = self.account.chats(merge=merge, sort_by=sort_by, descending=direction)
        return _listing(paging.cut(rows))

    def _overview(self, paging: Paging, merge: bool, ids: list[str] | None) -> Answer:
        wanted = {to_jid(chat_id) for chat_id in ids} if ids else None
        merge = merge and not self.is_old
        with self.account.lock:
            rows = []
            for chat in paging.cut(self.account.overview(merge, wanted)):
                last = self.account.page(self.account.scope(chat.id, merge), limit=1)
                rows.append(self.account.overview_row(chat, last))
        return Answer(join_array(rows))

    # -- messages ---------------------------------------------------------------------------

    async def messages(self, call: Call) -> Answer:
        """List the messages of a chat, or of `all`; 10 by default, newest first."""
        asked = await self._message_query(call)
        paging = asked.paging
        scope = self.account.scope(asked.chat_id, asked.merge)
        descending = _check_sql(paging, lambda word: _message_sql(asked.chat_id, scope, word), True)
        texts = self.account.page(
            scope,
            asked.window,
            descending=descending,
            limit=paging.count,
            offset=paging.start,
            look=Look(ghosts=self.control.ghosts),
            shuffle=call.tricks.shuffle,
        )
        return Answer(join_array(self._rows(texts, call.tricks)))

    async def message(self, call: Call) -> Answer:
        """Return one message by its bare or its full id."""
        stanza_id, merge = await self._named_message(call)
        found = self.account.message(stanza_id, self.account.scope(call.parts["chat_id"], merge))
        if found is None:
            raise refuse(404, "Message not found")
        return Answer(self._downloaded(call, found))

    # -- contacts, LIDs, groups -------------------------------------------------------------

    async def contacts(self, call: Call) -> Answer:
        """List contacts in insertion order; no default limit."""
        call.session  # noqa: B018 - raises when nobody named one
        paging = Paging.read(call.query, ("id", "name"))
        call.query.done()
        await self._working(call)
        column = paging.sort_by
        order = f" order by {column} " if column else " "
        direction = _check_sql(paging, lambda word: _CONTACTS + order + word, False)
        rows = self.account.contacts
        if column:
            rows = sorted(rows, key=lambda item: _sort_text(item, column), reverse=direction)
        return _listing(paging.cut(rows))

    def _lid_pairs(self) -> list[tuple[str, str]]:
        return self.account.lids()

    def _groups(self, rows: list[tuple[str, Json]], plain: bool) -> Answer:
        """Write groups as one object keyed by id."""
        pairs = [
            js_dumps(group_id)
            + b":"
            + (without_participants(group) if plain else self.account.groups[group_id])
            for group_id, group in rows
        ]
        return Answer(b"{" + b",".join(pairs) + b"}")


def _check_sql(paging: Paging, sql: Callable[[str], str], default_descending: bool) -> bool:
    """Return the direction or raise what the store says to this paging."""
    paging.start  # noqa: B018 - raises on a negative offset
    word = paging.sort_order or ("desc" if default_descending else "asc")
    statement = sql(word) + (f" limit {_js_integer(paging.limit)}" if paging.limit else "")
    direction = paging.descending(default_descending)
    if direction is None:
        near = word.split()[0] if word.split() else word
        detail = f'near "{near}": syntax error'
        raise sql_error(statement, "SQLITE_ERROR", 1, detail)
    if abs(paging.limit or 0) > _SQL_INTEGER or (paging.offset or 0) > _SQL_INTEGER:
        raise sql_error(statement, "SQLITE_MISMATCH", 20, "datatype mismatch")
    return direction


def _js_integer(value: float | None) -> str:
    """Write a limit as JavaScript writes the number."""
    number = value or 0.0
    return str(int(number)) if abs(number) < 1e21 else repr(number)


def _listing(items: list[Item]) -> Answer:
    return Answer(join_array([item.raw for item in items]))


def _sort_text(item: Item, column: str) -> Any:
    if column == "id":
        return item.id.encode()
    return b"" if item.name is None else js_dumps(item.name)


_MESSAGES = "select `messages`.* from `messages`"
_CONTACTS = "select * from `contacts`"
_LIDS_OF = "select `id` from `lid_map` where `pn` ="
_PLAIN_CHATS = "select * from `chats` where `chats`.`conversationTimestamp` is not null"
_FOLDED_CHATS = (
    "select * from (select `annotated_chats`.*, ROW_NUMBER() OVER (PARTITION BY"
    ' annotated_chats.primary_jid ORDER BY annotated_chats."conversationTimestamp" DESC,'
    " annotated_chats.primary_priority ASC) as __rownum from (select `chats`.*, CASE WHEN"
    ' "chats"."id" LIKE \'%@lid\' THEN COALESCE(lid_map.pn, "chats"."id") ELSE "chats"."id" END as'
    " primary_jid, CASE WHEN chats.id LIKE '%@lid' THEN 1 ELSE 0 END as primary_priority from"
    " `chats` left join `lid_map` on `lid_map`.`id` = `chats`.`id` where"
    " `chats`.`conversationTimestamp` is not null) as `annotated_chats`) as `ranked_chats` where"
    " `__rownum` = 1"
)


def _message_sql(chat_id: str, scope: Scope, word: str) -> str:
    """Write the statement WAHA echoes when the store refuses a message query."""
    order = f"order by messages.data->'$.messageTimestamp' {word}"
    if scope is None:
        return f"{_MESSAGES} {order}"
    jid = scope[0]
    where = f"`messages`.`jid` = '{jid}'"
    if jid.endswith("@s.whatsapp.net"):
        where = f"({where} or `messages`.`jid` in ({_LIDS_OF} '{jid}'))"
    return f"{_MESSAGES} where {where} {order}"
