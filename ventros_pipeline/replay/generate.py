"""A generator of accounts of any size, in the format the replay server serves.

Belongs here: sharing the messages out over chats and days, and writing the files, the truth among
them. Does not belong here: who exists (`people`) and what a message looks like (`kinds`).

The same arguments give the same bytes. Everybody in a generated account is invented. Listings that
the server derives by itself (the overview, the merged chats) are not written.
"""

import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from ventros_pipeline.replay.ids import to_jid
from ventros_pipeline.replay.kinds import (
    NASTY,
    TRUE_KIND,
    Envelope,
    Quoted,
    Writer,
    nasty,
)
from ventros_pipeline.replay.people import (
    LID_ALT,
    Cast,
    Group,
    Person,
    contact_list,
    group_table,
    invent,
    lid_table,
)
from ventros_pipeline.replay.wire import js_dumps

TRUTH = "truth.json"
TRUTH_ROWS = "truth_rows.ndjson.gz"
UNTIL = 1_790_000_000
_DAY = 86_400
_STANZA_PREFIXES = ("3EB0", "3A", "AC", "A5", "2A")
_TIE_SHARE = 0.06


class Row(NamedTuple):
    """What is true about one stored message."""

    chat: str
    stanza_id: str
    timestamp: Any
    from_me: bool
    kind: str
    nasty: str | None = None


@dataclass
class _Chat:
    """A chat to be written: who is in it, how many rows, and when it moved last."""

    id: str
    sort: str
    count: int
    last: int
    person: Person | None = None
    group: Group | None = None
    nasty: list[str] = field(default_factory=list)
    burst: int = 0


@dataclass(frozen=True)
class _Plan:
    """The arguments of one generation."""

    messages: int
    chats: int
    days: int
    seed: int
    until: int
    nasty: bool
    bursts: int
    burst_size: int
    dropped_share: float
    unlisted: int

    def check(self) -> None:
        """Refuse what cannot be generated."""
        least = self.chats + self.unlisted + (len(NASTY) if self.nasty else 0)
        if self.chats < 1 or self.messages < least:
            raise ValueError(f"{self.messages} messages are too few: at least {least} are needed")
        if self.until - self.days * _DAY < 10**9 or self.until >= 10**10:
            raise ValueError("all times must have ten digits: between 2001-09-09 and 2286-11-20")


def generate(
    directory: str | Path,
    *,
    messages: int,
    chats: int = 40,
    days: int = 400,
    seed: int = 1,
    until: int = UNTIL,
    nasty: bool = False,
    bursts: int | None = None,
    burst_size: int = 130,
    dropped_share: float = 0.002,
    unlisted: int = 0,
) -> dict[str, Any]:
    """Write an account folder.

    Args:
        directory: where to write; created when missing.
        messages: stored messages, all sorts together.
        chats: listed chats: people, groups, and a few newsletters and broadcasts.
        days: length of the history.
        seed: the same seed gives the same account.
        until: the last second of the history.
        nasty: add the rows an importer must survive, one of each (`kinds.NASTY`).
        bursts: how often one second holds `burst_size` messages; by default one per 2,000.
        burst_size: messages of such a second; choose it above the page size.
        dropped_share: share of rows WAHA reads and never shows.
        unlisted: chats with messages that no chat list shows.

    Returns:
        The truth, as written to `truth.json`; the rows are in `truth_rows.ndjson.gz`.
    """
    count = min(20, messages // 2000) if bursts is None else bursts
    plan = _Plan(
        messages, chats, days, seed, until, nasty, count, burst_size, dropped_share, unlisted
    )
    plan.check()
    return _Generation(plan, Path(directory)).run()


class _Generation:
    """One run of the generator: its random source, its files, its counts."""

    def __init__(self, plan: _Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._rng = random.Random(plan.seed)  # noqa: S311 - test data, not a secret
        self._writer = Writer(self._rng)
        self._cast = invent(self._rng, plan.chats, plan.unlisted)
        self._me = (to_jid(self._cast.me["id"]), self._cast.me["lid"])
        self._dropped: dict[str, list[dict[str, Any]]] = {}
        self._chat_rows: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._nasty: Counter[str] = Counter()
        self._from_me = 0

    def run(self) -> dict[str, Any]:
        """Write everything and return the truth."""
        self._folder.mkdir(parents=True, exist_ok=True)
        chats = self._chats()
        with ExitStack() as files:
            listed = files.enter_context(_open(self._folder / "messages.ndjson.gz"))
            hidden = listed
            if self._plan.unlisted:
                path = self._folder / "messages_hidden.ndjson.gz"
                hidden = files.enter_context(_open(path))
            truth = files.enter_context(_open(self._folder / TRUTH_ROWS))
            for chat in chats:
                self._write_chat(chat, hidden if chat.sort == "unlisted" else listed, truth)
        self._write_listings([chat for chat in chats if chat.sort != "unlisted"])
        return self._write_truth(chats)

    # -- sharing out ------------------------------------------------------------------------

    def _chats(self) -> list[_Chat]:
        """Plan every chat, newest first, unlisted ones at the end."""
        chats = list(_planned(self._cast))
        self._share_out(chats)
        span = max(1, self._plan.days * _DAY // 4)
        for chat in chats:
            chat.last = self._plan.until - self._rng.randrange(span)
        self._give_bursts(chats)
        self._give_nasty(chats)
        chats.sort(key=lambda chat: (chat.sort == "unlisted", -chat.last))
        return chats

    def _share_out(self, chats: list[_Chat]) -> None:
        """Give every chat one row, and the rest by weight."""
        weights = [min(self._rng.paretovariate(1.1), 60.0) for _ in chats]
        rest = self._plan.messages - len(chats)
        whole = sum(weights)
        for chat, weight in zip(chats, weights, strict=True):
            chat.count = 1 + int(rest * weight / whole)
        left = self._plan.messages - sum(chat.count for chat in chats)
        for place in range(left):
            chats[place % len(chats)].count += 1

    def _give_bursts(self, chats: list[_Chat]) -> None:
        largest = sorted(chats, key=lambda chat: -chat.count)
        for place in range(self._plan.bursts):
            chat = largest[place % len(largest)]
            if chat.count >= (chat.burst + 1) * self._plan.burst_size + 2:
                chat.burst += 1

    def _give_nasty(self, chats: list[_Chat]) -> None:
        people = [chat for chat in chats if chat.person and chat.count > 1] or chats
        for place, label in enumerate(NASTY if self._plan.nasty else ()):
            chat = max(people[place % len(people) :] or people, key=lambda one: one.count)
            chat.nasty.append(label)

    def _times(self, chat: _Chat) -> list[int]:
        """Draw the ordinary times of a chat: ascending, some shared, some in bursts."""
        wanted = chat.count - len(chat.nasty)
        start = self._plan.until - self._plan.days * _DAY
        span = chat.last - start
        draw = self._rng.random
        times = [start + int(draw() * span) for _ in range(max(0, wanted - 1))]
        for place in range(1, len(times)):
            if draw() < _TIE_SHARE:
                times[place] = times[place - 1]
        size = self._plan.burst_size
        for burst in range(chat.burst):
            first = burst * size
            times[first : first + size] = [times[first]] * len(times[first : first + size])
        times.sort()
        return times + [chat.last] * min(1, wanted)

    # -- writing ----------------------------------------------------------------------------

    def _write_chat(self, chat: _Chat, out: BinaryIO, truth: BinaryIO) -> None:
        """Write the rows of a chat in the order the server returns them: by JSON text."""
        head = b'{"chatId":%s,"message":' % js_dumps(chat.id)
        place = 0
        for order, row, text in self._ordered(chat):
            out.write(head + text + b"}\n")
            truth.write(js_dumps(list(row if row.nasty else row[:-1])) + b"\n")
            self._count(row)
            place += 1
            if self._rng.random() < self._plan.dropped_share and order.isdigit():
                self._drop(chat.id, place, int(order))
                place += 1

    def _ordered(self, chat: _Chat) -> Iterator[tuple[bytes, Row, bytes]]:
        odd = sorted((self._odd(chat, label) for label in chat.nasty), key=lambda one: one[0])
        for order, row, text in self._ordinary(chat):
            while odd and odd[0][0] <= order:
                yield odd.pop(0)
            yield order, row, text
        yield from odd

    def _ordinary(self, chat: _Chat) -> Iterator[tuple[bytes, Row, bytes]]:
        quoted: Quoted | None = None
        draw = self._rng.random
        for timestamp in self._times(chat):
            envelope, from_me = self._envelope(chat, timestamp)
            kind = self._writer.kind()
            content = self._writer.content(kind, timestamp, quoted)
            if chat.group and kind == "reply":
                _mention(content.node, chat.group)
            status = self._writer.status(envelope.from_me)
            text = js_dumps(self._writer.message(envelope, content, status))
            if kind == "text" and draw() < 0.3:
                sender = envelope.participant or (self._me[0] if from_me else chat.id)
                quoted = Quoted(envelope.stanza_id, sender, content.body or "")
            kind = TRUE_KIND.get(kind, kind)
            row = Row(chat.id, envelope.stanza_id, timestamp, from_me, kind)
            yield str(timestamp).encode(), row, text

    def _odd(self, chat: _Chat, label: str) -> tuple[bytes, Row, bytes]:
        usual = chat.last - 1 - self._rng.randrange(_DAY)
        envelope = Envelope(chat.id, self._stanza_id(), usual, False)
        message = nasty(label, envelope)
        timestamp = message["timestamp"]
        kind = "unknown" if label == "unknown_key" else "text"
        row = Row(chat.id, envelope.stanza_id, timestamp, False, kind, label)
        return js_dumps(timestamp), row, js_dumps(message)

    def _envelope(self, chat: _Chat, timestamp: int) -> tuple[Envelope, bool]:
        """Say who writes; the second value is the truth about from-me."""
        draw = self._rng.random
        envelope = Envelope(chat.id, self._stanza_id(), timestamp, False)
        if draw() < 0.05:
            envelope.reaction = self._stanza_id()
        if chat.group is not None:
            return envelope, self._group_sender(chat.group, envelope)
        if chat.sort == "status" and self._cast.people:
            sender = self._rng.choice(self._cast.people)
            envelope.participant, envelope.pushname = sender.phone, sender.pushname
        elif chat.sort in ("person", "unlisted"):
            envelope.from_me = draw() < 0.45
        if chat.person is not None:
            self._person_details(chat, chat.person, envelope)
        return envelope, envelope.from_me

    def _person_details(self, chat: _Chat, person: Person, envelope: Envelope) -> None:
        if not envelope.from_me:
            envelope.pushname = person.pushname
        if person.way == LID_ALT and self._rng.random() < 0.6:
            envelope.alt = {"remoteJidAlt": person.phone, "addressingMode": "lid"}

    def _group_sender(self, group: Group, envelope: Envelope) -> bool:
        draw = self._rng.random
        if not group.members or draw() < 0.25:
            envelope.participant = self._me[1] if group.lid_addressed else self._me[0]
            # Own messages from the phone in LID groups may come back as somebody else's.
            envelope.from_me = not group.lid_addressed or draw() >= 0.05
            return True
        sender = self._rng.choice(group.members)
        envelope.participant = sender.lid if group.lid_addressed else sender.phone
        envelope.pushname = sender.pushname
        if group.lid_addressed and sender.way == LID_ALT:
            envelope.alt = {"participantAlt": sender.phone, "addressingMode": "lid"}
        return False

    def _stanza_id(self) -> str:
        prefix = _STANZA_PREFIXES[self._rng.getrandbits(8) % len(_STANZA_PREFIXES)]
        return f"{prefix}{self._rng.getrandbits(72):018X}"

    def _drop(self, chat_id: str, place: int, timestamp: int) -> None:
        row = {
            "asc_index": place,
            "id": self._stanza_id(),
            "timestamp": timestamp,
            "content": "deviceSentMessage",
        }
        self._dropped.setdefault(chat_id, []).append(row)

    def _count(self, row: Row) -> None:
        self._chat_rows[row.chat] += 1
        self._kinds[row.kind] += 1
        self._from_me += row.from_me
        if row.nasty:
            self._nasty[row.nasty] += 1

    def _write_listings(self, chats: list[_Chat]) -> None:
        me = self._cast.me
        store = {"enabled": True, "fullSync": True}
        session = {
            "name": "default",
            "status": "WORKING",
            "config": {"noweb": {"markOnline": True, "store": store}},
            "me": me,
            "presence": None,
            "timestamps": {},
            "engine": {"engine": "NOWEB"},
        }
        version = {
            "version": "2026.4.1",
            "engine": "NOWEB",
            "tier": "CORE",
            "browser": None,
            "platform": "linux/x64",
            "worker": {"id": None},
        }
        dropped = sum(map(len, self._dropped.values()))
        lost = {
            "store_rows": self._plan.messages + dropped,
            "returned_rows": self._plan.messages,
            "dropped_rows": dropped,
            "content_of_dropped": {"deviceSentMessage": dropped},
            "unreachable_chats": {},
            "dropped": self._dropped,
        }
        files: dict[str, Any] = {
            "chats.json": [_chat_row(chat) for chat in chats],
            "contacts.json": contact_list(self._cast),
            "lids.json": lid_table(self._cast),
            "groups.json": group_table(self._cast),
            "me.json": me,
            "session.json": session,
            "version.json": version,
            "dropped_rows.json": lost,
        }
        for name, value in files.items():
            (self._folder / name).write_bytes(js_dumps(value))

    def _write_truth(self, chats: list[_Chat]) -> dict[str, Any]:
        people = [
            {"addresses": p.addresses, "chats": p.chats, "way": p.way, "name": p.name}
            for p in self._cast.people
        ]
        truth = {
            "format": 1,
            "seed": self._plan.seed,
            "until": self._plan.until,
            "messages": self._plan.messages,
            "from_me": self._from_me,
            "dropped": sum(map(len, self._dropped.values())),
            "people_count": len(people),
            "people": people,
            "me": list(self._me),
            "by_kind": dict(sorted(self._kinds.items())),
            "nasty": dict(self._nasty),
            "chats": {
                chat.id: {
                    "sort": chat.sort,
                    "count": self._chat_rows[chat.id],
                    "bursts": chat.burst,
                }
                for chat in chats
            },
        }
        text = json.dumps(truth, ensure_ascii=False, indent=1)
        (self._folder / TRUTH).write_text(text + "\n", encoding="utf-8")
        return truth


def read_truth_rows(directory: str | Path) -> Iterator[Row]:
    """Read what is true about each stored message of a generated account."""
    with gzip.open(Path(directory) / TRUTH_ROWS, "rb") as stream:
        for line in stream:
            yield Row(*json.loads(line))


def _planned(people: Cast) -> Iterator[_Chat]:
    for person in people.people:
        for chat_id in person.chats:
            yield _Chat(chat_id, "person", 0, 0, person=person)
    for group in people.groups:
        yield _Chat(group.id, "group", 0, 0, group=group)
    for chat_id in people.others:
        sort = "status" if chat_id.startswith("status@") else chat_id.split("@")[1]
        yield _Chat(chat_id, sort, 0, 0)
    for chat_id in people.unlisted:
        yield _Chat(chat_id, "unlisted", 0, 0)


def _chat_row(chat: _Chat) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": chat.id,
        "lastMsgTimestamp": chat.last,
        "conversationTimestamp": chat.last,
    }
    name = chat.group.name if chat.group else chat.person.name if chat.person else None
    if name:
        row["name"] = name
    return row | {"archived": False}


def _mention(node: dict[str, Any], group: Group) -> None:
    """Let a reply in a group mention its first member."""
    text = node.get("extendedTextMessage")
    if text and group.members:
        first = group.members[0]
        known = first.lid if group.lid_addressed else first.phone
        text.setdefault("contextInfo", {})["mentionedJid"] = [known]


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a gzip file that is written the same way every time."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as zipped,
        io.BufferedWriter(cast(io.RawIOBase, zipped), 1 << 20) as stream,
    ):
        yield stream
