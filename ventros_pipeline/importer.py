"""The movements of an import, without Dagster: WAHA -> directory, archive, media; archive -> CRM.

What belongs here: the order in which the rooms are asked. What does not: any rule of theirs. Assets
call these functions; so does a test that needs no orchestrator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from time import monotonic

import httpx
import msgspec
import polars as pl
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from ventros_pipeline.ahead import ahead
from ventros_pipeline.archive import DAY_SCHEMA, READ, Archive, DayWritten
from ventros_pipeline.crm import avatars, coverage, ledger, loaded, media, sweep
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.courtesy import PostgresCourtesy
from ventros_pipeline.crm.identities import WANTED_SCHEMA
from ventros_pipeline.crm.limits import allowed_days, first_allowed, tighter
from ventros_pipeline.crm.load import (
    ABSENCE_SCHEMA,
    Known,
    Loaded,
    Rejected,
    Window,
    load_window,
    save_directory,
    update_groups,
)
from ventros_pipeline.crm.merging import meet_contacts, settle_people
from ventros_pipeline.crm.tombstones import Tombstones, archiving
from ventros_pipeline.logs import log_of
from ventros_pipeline.media_store import MediaStore
from ventros_pipeline.memory import MemoryGuard
from ventros_pipeline.settings import Settings
from ventros_pipeline.transform import messages
from ventros_pipeline.transform.conversations import filter_reason
from ventros_pipeline.transform.identity import LID_SUFFIX, Evidence
from ventros_pipeline.transform.phones import PHONE_SUFFIX
from ventros_pipeline.transform.prints import divide, prints_of
from ventros_pipeline.transform.times import DAY, Calendar, second_of
from ventros_pipeline.waha.client import Probe, RequestStats, WahaClient, WahaServer
from ventros_pipeline.waha.courtesy import (
    Breaker,
    Breakers,
    Limits,
    NoTurnError,
    RestingError,
    State,
)
from ventros_pipeline.waha.directory import Entry, read_directory
from ventros_pipeline.waha.envelope import envelopes_of
from ventros_pipeline.waha.erasing import Eraser
from ventros_pipeline.waha.errors import WahaProtocolError, WahaTransientError, WahaUnsupportedError
from ventros_pipeline.waha.guard import guarded_client
from ventros_pipeline.waha.media import CAPS, MESSAGE_GONE, NoFile, fetch_file
from ventros_pipeline.waha.reading import Page, Reader, choose_reader
from ventros_pipeline.waha.secrets import strip_secrets
from ventros_pipeline.waha.wire import decode_rows

# Rows of one transaction, about: enough to make statements cheap, few enough to bound memory. By
# 50,000 a million messages took 718 MB, by 40,000 633 MB, and 726 MB with Dagster in the process;
# by 30,000 554 MB.
WINDOW_ROWS = 30_000
# Rows decoded at once.
DECODED_ROWS = 5_000
# Kept in quarantine of a row that is too large.
QUARANTINED_BYTES = 64 * 1024
# Windows that may be decoded while one is loaded: Postgres works then, and we would wait.
WINDOWS_AHEAD = 1
# The ledger says how far a reading is whenever a day is written, and at least so often: asked for
# chat by chat, each page would be a transaction.
COUNT_SECONDS = 1.0
# Pages that may be read or asked for while one is archived.
PAGES_AHEAD = 2
# When evidence was seen whose own time nobody can trust: before any other.
UNTRUSTED = datetime(1970, 1, 1, tzinfo=UTC)
VANISHED = (
    "WAHA no longer shows {rows} known messages of {days} days, too many at once to be revokes: "
    "nothing was marked as deleted. If the session was paired anew or its store was lost, WAHA may "
    "show them again later."
)
OVER_THE_LIMIT = (
    "{days} days before {first} were left out: the channel imports its last {limit} days only "
    "(`ventros channel enable` changes that)."
)
# A turn at a server is given back by force only when its request must be over.
LEASE_MARGIN = 70.0
_PENDING = pl.Schema({"day": pl.Date(), **READ})
# A session that keeps failing is left alone by all imports of this process.
BREAKERS = Breakers()


@dataclass(frozen=True)
class Survey:
    """What an import is planned by.

    Attributes:
        oldest: first day of the calendar that WAHA may hold a message of; null when not asked.
        ranges_are_cheap: whether reading a year in twelve parts costs about as much as in one; on
            WEBJS and WPP every part walks every chat again.
        requests: how many requests it took to know.
    """

    oldest: date | None
    ranges_are_cheap: bool
    requests: int = 0


@dataclass(frozen=True)
class Swept:
    """What a sweep did: LIDs asked, numbers learned, contacts absorbed by others."""

    asked: int
    learned: int
    merged: int


@dataclass
class Importer:
    """One channel's import, for one run.

    Attributes:
        run_id: UUID text; every row written knows it.
        now: the moment the run began, UTC; the future starts a day after it.
        notes: what a person should know of how WAHA was read, for example that it is an old server.
    """

    engine: Engine
    archive: Archive
    settings: Settings
    channel: Channel
    run_id: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    notes: list[str] = field(default_factory=list, init=False)
    _counted: RequestStats = field(default_factory=RequestStats, init=False)
    _memory: MemoryGuard = field(init=False)

    def __post_init__(self) -> None:
        self._memory = MemoryGuard.of(self.settings.memory_limit_mb)
        # The channel goes wherever names are written; the settings do not.
        self.channel = replace(self.channel, contact_names=self.settings.contact_names)

    @property
    def calendar(self) -> Calendar:
        """The account's days."""
        return Calendar(self.settings.history_start, self.now)

    def client(self, *, within: float | None = None) -> WahaClient:
        """Return a client for the channel's session; its requests are counted from zero.

        Args:
            within: seconds in which one try must get its turn, and then its answer; there is no
                other try. For whoever cannot wait.
        """
        self._counted = RequestStats()
        limits = Limits(rate=self.settings.waha_rate, concurrency=self.settings.waha_concurrency)
        server = WahaServer(
            base_url=self.channel.base_url,
            session=self.channel.session,
            api_key=self.channel.api_key() or "",
            connect_timeout=self.settings.connect_timeout,
            read_timeout=self.settings.read_timeout,
            total_timeout=self.settings.total_timeout,
            slow_timeout=self.settings.slow_timeout,
            attempts=self.settings.request_attempts,
            body_limit=self.settings.body_limit_mb * 1024 * 1024,
            hosts=self.settings.allowed_hosts,
        )
        if within is not None:
            limits = replace(limits, patience=within)
            server = replace(server, total_timeout=within, slow_timeout=within, attempts=1)
        return WahaClient(
            server,
            courtesy=PostgresCourtesy(
                self.engine, limits, lease=self.settings.slow_timeout + LEASE_MARGIN
            ),
            breaker=BREAKERS.of(self.channel.base_url, self.channel.session),
            on_breaker=self._note_breaker,
            log=log_of("waha", **self._known),
            watch=self._memory.check,
        )

    @property
    def _known(self) -> dict[str, str | None]:
        return {"channel": self.channel.key, "run": self.run_id or None}

    def _note_breaker(self, breaker: Breaker, state: State) -> None:
        """Let other processes know; what was asked of WAHA matters more than that they do."""
        with suppress(SQLAlchemyError):
            if state is State.OPEN:
                ledger.open_breaker(self.engine, self.channel, timedelta(seconds=breaker.rest))
            else:
                ledger.close_breaker(self.engine, self.channel)

    def reader(self, probe: Probe) -> Reader:
        """Return the strategy of reading for a server."""
        settings = self.settings
        return choose_reader(probe, page_size=settings.page_size, at_once=settings.waha_concurrency)

    def read_directory(self) -> int:
        """List chats, contacts, LIDs and groups; return how many contacts that made.

        Raises:
            WahaError: a list could not be read; what was known before is kept.
        """
        with self.client() as client:
            probe = client.probe()
            directory = read_directory(client)
            self.count_requests(client)
        entries = pl.DataFrame(
            [
                (e.address, e.has_chat, e.book_name, e.push_name, e.subject, _members(e))
                for e in sorted(directory.entries.values(), key=lambda entry: entry.address)
            ],
            schema={
                "address": pl.String,
                "has_chat": pl.Boolean,
                "book_name": pl.String,
                "push_name": pl.String,
                "subject": pl.String,
                "members": pl.String,
            },
            orient="row",
        )
        created = save_directory(
            self.engine,
            self.channel,
            entries=entries,
            evidence=[Evidence(*pair, self.now) for pair in sorted(directory.pairs)],
            own_addresses=sorted(probe.me.own_addresses),
            engine_name=probe.engine.value,
            waha_version=probe.version or "",
            listed_at=self.now,
            wanted=self._listed_conversations(entries, probe),
            run_id=self.run_id,
        )
        ledger.add_progress(self.engine, self.channel, self.run_id, contacts_created=created)
        settle_people(self.engine, self.channel, self.run_id)
        # After the merges, so that a member is the contact that stayed.
        update_groups(self.engine, self.channel, self.run_id)
        return created

    def refresh_directory(self) -> int | None:
        """List again when the last listing is older than the settings allow.

        Returns:
            How many contacts that made; None when the last listing was fresh enough.
        """
        read_at = ledger.channel_state(self.engine, self.channel).directory_read_at
        oldest = self.now - timedelta(seconds=self.settings.directory_max_age)
        return self.read_directory() if read_at is None or read_at < oldest else None

    def read_days(
        self, days: Sequence[date], *, chats: Sequence[str] | None = None
    ) -> Iterator[DayWritten]:
        """Read contiguous days from WAHA into the archive; yield each when it is written.

        A day is written when the reader has passed it, so a run that is killed keeps what it has
        read, and memory holds the days in flight and no more.

        Args:
            days: contiguous UTC days, ascending; those beyond the channel's limit are left out.
            chats: only these chats; the days then stay incomplete.

        Raises:
            WahaError, ArchiveError: nothing of the current day was kept.
        """
        days = self._within_limit(days)
        if not days:
            return
        with self.client() as client:
            reader = self.reader(client.probe())
            yield from self.read_with(client, reader, days, chats=chats)
            self.notes.extend(reader.notes)

    def read_with(
        self,
        client: WahaClient,
        reader: Reader,
        days: Sequence[date],
        *,
        chats: Sequence[str] | None = None,
        since: int | None = None,
    ) -> Iterator[DayWritten]:
        """Read contiguous days with a client and a reader that are there; see `read_days`.

        Args:
            days: at least one, all within the channel's limit.
            since: only from this second of the first day on; the days then stay incomplete.
        """
        calendar = self.calendar
        pending = _Pending(calendar, days)
        whole = chats is None and since is None
        settled = ledger.settled_days(self.engine, self.channel, days) if whole else set()
        vanished: dict[date, int] = {}
        due = monotonic() + COUNT_SECONDS
        # The day that also holds what no day is right for.
        first = calendar.start in days and since is None
        pages = reader.read(
            client,
            max(second_of(days[0]), since or 0),
            second_of(days[-1]) + DAY,
            chats,
            outside=(calendar.start_second, calendar.horizon) if first else None,
        )
        with closing(ahead(pages, most=PAGES_AHEAD)) as read:
            for page in read:
                self._memory.check()
                if not reader.ranges_are_cheap:
                    # Absence proves something only where one walk shows all chats. Read one by one,
                    # a chat that the list does not show would look revoked as a whole; and
                    # browsers, which are read so, leave a row for every revoke.
                    settled = set()
                written = self._write(pending.add(page), settled)
                if whole:
                    shown = {day.day: day.read for day in written}
                    coverage.note_read(self.engine, self.channel, shown, self.now)
                vanished |= {day.day: day.vanished for day in written if day.vanished}
                if written or monotonic() >= due:
                    read_rows = sum(day.read for day in written)
                    self.count_requests(client, days_read=len(written), messages_read=read_rows)
                    due = monotonic() + COUNT_SECONDS
                yield from written
        self.count_requests(client)
        if vanished:
            rows = sum(vanished.values())
            self.notes.append(VANISHED.format(rows=rows, days=len(vanished)))

    def load_days(
        self,
        days: Sequence[date],
        *,
        max_per_chat: int | None = None,
        partial: bool = False,
        force: bool = False,
    ) -> Iterator[Loaded]:
        """Load archived days into the CRM, window by window; yield what each window did.

        Days that this run has loaded already are passed over: a step that is tried again goes on
        where it was. Rows that are as they were when they were loaded last are counted and not
        looked at.

        Args:
            days: contiguous UTC days, ascending; those beyond the channel's limit are left out.
            max_per_chat: only the newest so many messages of each chat, and not more than the
                channel's limit; holds when later days are loaded first.
            partial: whether only some chats of these days were read.
            force: whether to look at every row, to mend what was changed by hand since.

        Raises:
            ArchiveError: a day was never read.
            ConcurrentWriteError, sqlalchemy.exc.DBAPIError: nothing of the window was kept.
        """
        done = ledger.loaded_days(self.engine, self.channel, self.run_id)
        state = ledger.channel_state(self.engine, self.channel)
        days = allowed_days(days, self.channel.max_days, self.now.date())
        max_per_chat = tighter(max_per_chat, self.channel.max_per_chat)
        if state.settle_due:
            # A load found who is whom, and was cut off before contacts followed.
            self._settle()
        wanted = [day for day in days if day not in done]
        windows = list(windows_of(self.archive, self.channel.key, wanted))
        # From the oldest on: a session that goes on in the next window grows then. The other way
        # round it would get an older first message and so another id, and the CRM has no index by
        # which its foreign keys to the session that goes are looked up: each cost a scan. But the
        # newest messages of a chat are counted from the newest on.
        if max_per_chat is not None:
            windows.reverse()
        how = _How(state.own_addresses, max_per_chat, partial, force)
        prepared = (self._prepare(window_days, how) for window_days in windows)
        # With a cap, what a window holds depends on what the one before it has stored.
        most = WINDOWS_AHEAD if max_per_chat is None else 0
        with closing(ahead(prepared, most=most)) as ready:
            for window in ready:
                began = monotonic()
                loaded = self._load(window, how)
                self._tell_window(list(window.days), loaded, monotonic() - began)
                ledger.add_progress(
                    self.engine,
                    self.channel,
                    self.run_id,
                    days_loaded=len(window.days),
                    contacts_created=loaded.contacts_created,
                    sessions_created=loaded.sessions_created,
                )
                yield loaded
        meet_contacts(self.engine, self.channel, self.run_id)

    def _tell_window(self, days: Sequence[date], window: Loaded, seconds: float) -> None:
        log = log_of("load", **self._known)
        counts = {name: getattr(window, name) for name in ledger.COUNTS}
        span = {"from": days[0], "to": days[-1]}
        log.info("window loaded", **span, **counts, ms=round(seconds * 1000))
        for reason, rows in sorted(window.quarantine_reasons.items()):
            log.warning("rows in quarantine", **span, reason=reason, rows=rows)

    def fetch_media(self, kinds: Sequence[str], *, max_files: int) -> list[media.Outcome]:
        """Fetch media files of loaded messages, newest first; return what became of each.

        A file that does not come stays wanted for a later run, and the next one is fetched.

        Args:
            kinds: content types, of `waha.media.CAPS`.
            max_files: most files of this run.

        Raises:
            WahaError: nothing can be fetched now, or a setting has to be changed.
            ArchiveError: a file cannot be written.
        """
        media.want(self.engine, self.channel, kinds)
        files = media.next_wanted(self.engine, self.channel, kinds, limit=max_files)
        outcomes: list[media.Outcome] = []
        if not files:
            return outcomes
        with self.client() as client, self._web() as web:
            client.probe()
            for wanted in files:
                outcome = self._fetch_one(client, web, wanted)
                outcomes.append(media.settle(self.engine, self.channel, wanted, outcome))
                self.count_requests(client)
        return outcomes

    def sweep_people(self, *, max_lids: int) -> Swept:
        """Ask WAHA whose LIDs without a number are, one by one, and let the contacts follow.

        A server that answers for no single LID leaves a note.

        Args:
            max_lids: most LIDs of this sweep; those asked longest ago come first.

        Raises:
            WahaError: WAHA did not answer; what it had said before is kept, and the LID that it
                did not answer for comes last next time.
        """
        lids = sweep.next_lids(self.engine, self.channel, limit=max_lids)
        asked: list[str] = []
        learned: list[Evidence] = []
        with self.client() as client:
            try:
                client.probe()
                for lid in lids:
                    asked.append(lid)
                    if phone := client.phone_of_lid(lid):
                        learned.append(Evidence(lid, phone, "lids", self.now))
            except WahaUnsupportedError as error:
                self.notes.append(str(error))
            finally:
                self.count_requests(client)
                sweep.mark_asked(self.engine, self.channel, asked, self.now)
                settled = settle_people(self.engine, self.channel, self.run_id, learned)
        return Swept(len(asked), len(learned), settled.merged)

    def fetch_avatars(self, *, max_contacts: int) -> int:
        """Ask WAHA where the pictures of contacts without one are; return how many were found.

        Args:
            max_contacts: most contacts of this run; those asked for longest ago come first.

        Raises:
            WahaError: WAHA did not answer; what was found before is kept, and the contact that it
                did not answer for comes last next time.
        """
        contacts = avatars.next_contacts(self.engine, self.channel, limit=max_contacts)
        if not contacts:
            return 0
        found = 0
        with self.client() as client:
            client.probe()
            try:
                for contact, address in contacts:
                    found += self._fetch_avatar(client, contact, address)
            finally:
                self.count_requests(client)
        return found

    def survey(self, *, oldest: bool, within: float | None = None) -> Survey:
        """Ask WAHA what an import can be planned by.

        Args:
            oldest: whether the first day matters; the other answer needs no message read.
            within: as in `client`.

        Raises:
            WahaError: WAHA cannot be read.
        """
        with self.client(within=within) as client:
            reader = self.reader(client.probe())
            if not oldest:
                return Survey(None, reader.ranges_are_cheap, client.stats.requests)
            first = reader.oldest(client)
            day = self.now.date() if first is None else self.calendar.day_of(first)
            return Survey(day, reader.ranges_are_cheap, client.stats.requests)

    def _within_limit(self, days: Sequence[date]) -> list[date]:
        """Return the days that the channel may import; a note says that others were left out."""
        today, limit = self.now.date(), self.channel.max_days
        allowed = allowed_days(days, limit, today)
        if left_out := len(days) - len(allowed):
            first = first_allowed(limit, today)
            self.notes.append(OVER_THE_LIMIT.format(days=left_out, first=first, limit=limit))
        return allowed

    def _web(self) -> httpx.Client:
        return guarded_client(
            [self.channel.base_url],
            timeout=self.settings.read_timeout,
            connect_timeout=self.settings.connect_timeout,
        )

    def _fetch_one(
        self, client: WahaClient, web: httpx.Client, wanted: media.Wanted
    ) -> media.Outcome:
        limit = CAPS[wanted.kind]
        if wanted.declared_bytes is not None and wanted.declared_bytes > limit:
            return media.Outcome("refused", "too_large")
        try:
            found = fetch_file(client, web, wanted.address, wanted.waha_id, limit=limit)
        except (NoTurnError, RestingError):
            raise  # Nothing was asked, and the next file would not be either.
        except (WahaTransientError, WahaProtocolError):
            return media.Outcome("wanted", "no_answer")
        if isinstance(found, NoFile):
            if found == MESSAGE_GONE:
                client.probe()  # A proxy whose WAHA is away says 404, too, and to this as well.
            return media.Outcome(found.state, found.reason)
        sha256 = MediaStore(self.archive.store).put(found.content)
        return media.Outcome("stored", None, sha256, len(found.content), found.mimetype)

    def _fetch_avatar(self, client: WahaClient, contact: str, address: str) -> bool:
        try:
            url = client.profile_picture(address)
        except (NoTurnError, RestingError):
            raise  # Nothing was asked.
        except (WahaTransientError, WahaProtocolError):
            avatars.save_avatar(self.engine, self.channel, contact, None, self.now, self.run_id)
            raise
        avatars.save_avatar(self.engine, self.channel, contact, url, self.now, self.run_id)
        return url is not None

    def _listed_conversations(self, entries: pl.DataFrame, probe: Probe) -> pl.DataFrame:
        reason = filter_reason(probe.me.own_addresses, allow_groups=self.channel.allow_groups)
        return (
            entries.filter("has_chat")
            .with_columns(chat="address")
            .filter(reason.is_null())
            .select(
                "address",
                "has_chat",
                pl.lit(None, dtype=pl.String).alias("push_name"),
                pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("push_at"),
            )
            .match_to_schema(WANTED_SCHEMA)
        )

    def _write(
        self, complete: Mapping[date, pl.DataFrame], settled: Collection[date]
    ) -> list[DayWritten]:
        """Write days that are read whole, without people who were erased meanwhile or before."""
        if not complete:
            return []
        with archiving(self.engine, self.channel) as tombstones:
            return [
                self.archive.write(
                    self.channel.key,
                    day,
                    _without(tombstones, rows).drop_nulls("payload"),
                    read_at=self.now,
                    complete=day in settled,
                )
                for day, rows in complete.items()
            ]

    def count_requests(self, client: WahaClient, **counts: int) -> None:
        """Add to the run's ledger what the client has asked since the last time."""
        before, self._counted = self._counted, client.stats
        ledger.add_progress(
            self.engine,
            self.channel,
            self.run_id,
            requests=self._counted.requests - before.requests,
            retries=self._counted.retries - before.retries,
            **counts,
        )

    def _prepare(self, days: list[date], how: _How) -> Window:
        """Decode and judge a window; nothing is written, so it may be done beside a load."""
        memory = loaded.Memory()
        if how.max_per_chat is None and not how.force:
            # With a cap, whether a row is one of the newest depends on all others.
            memory = loaded.recall(self.engine, self.channel, days, self._under(how.own_addresses))
        return self._window(days, how, memory)

    def _archived(
        self, days: Sequence[date], wanted: pl.DataFrame | None, leaving: _Leaving
    ) -> Iterator[pl.DataFrame]:
        """Yield archived days, or of them the rows that are wanted (`PRINTS`), part by part.

        Rows of people who were erased stay behind.
        """
        if wanted is not None:
            days = wanted["day"].unique().sort().to_list()
        for archived in _gathered(self.archive.each(self.channel.key, days)):
            rows = archived
            self._memory.check()
            if wanted is not None:
                rows = archived.join(
                    wanted, on=["day", "row_key"], how="semi", maintain_order="left"
                )
            yield from leaving.of(rows).iter_slices(DECODED_ROWS)

    def _load(self, window: Window, how: _How) -> Loaded:
        # Before the load, so that a person's messages meet in one conversation at once.
        settle_people(self.engine, self.channel, self.run_id, window.evidence)
        try:
            done = load_window(self.engine, self.channel, window, self.run_id)
        except loaded.ForgottenError:
            how = replace(how, force=True)
            return self._load(self._prepare(list(window.days), how), how)
        if done.evidence_found:
            self._settle()
        return done

    def _under(self, own_addresses: frozenset[str]) -> str:
        return loaded.circumstances(self.channel, own_addresses, self.calendar.start)

    def _settle(self) -> None:
        """Let contacts follow evidence that loads have found."""
        settle_people(self.engine, self.channel, self.run_id)
        ledger.end_settling(self.engine, self.channel)

    def _window(self, days: Sequence[date], how: _How, memory: loaded.Memory) -> Window:
        # Read twice, some days at a time: payloads are most of a window, never held as a whole.
        # Nobody who was erased is taken out of the archive between the two.
        with archiving(self.engine, self.channel) as tombstones:
            leaving = _Leaving(tombstones)
            prints, heads = [], []
            for archived in _gathered(self.archive.each(self.channel.key, days)):
                prints.append(prints_of(archived))
                heads.append(archived.drop("payload"))
            everything = pl.concat(heads)
            looked_at, unchanged = divide(pl.concat(prints), memory.rows)
            wanted = None if unchanged.is_empty() else looked_at
            frame, rejected = _decoded(self._archived(days, wanted, leaving), how.own_addresses)
        # A row of which one version can be read is a message, and counted as such alone.
        readable = set(frame["row_key"]) if rejected else set()
        rejected = [row for row in rejected if row.row_key not in readable]
        judged = messages.judge(
            frame,
            self.calendar,
            own_addresses=how.own_addresses,
            allow_groups=self.channel.allow_groups,
        )
        judged = messages.leave_out(judged, leaving.rows, messages.ERASED)
        if how.max_per_chat is not None:
            newer = ledger.newer_rows(self.engine, self.channel, days[-1])
            judged = messages.cap(judged, how.max_per_chat, newer)
        seen = dict(everything.group_by("day").agg(pl.col("row_key").n_unique()).iter_rows())
        marked = everything.unique(["day", "row_key"], keep="first", maintain_order=True)
        was_missed = pl.any_horizontal(pl.col("seen_at", "missed_at").is_not_null())
        doubted = marked.filter(pl.col("doubted_at").is_not_null()).group_by("day").len()
        return Window(
            absences=marked.filter(was_missed).select(ABSENCE_SCHEMA.names()),
            doubted=dict(doubted.iter_rows()),
            days={day: seen.get(day, 0) for day in days},
            now=self.now,
            judged=judged,
            rejected=rejected,
            evidence=_evidence(judged.kept),
            tombstones=len(leaving.tombstones),
            known=Known(
                memory,
                unchanged,
                looked_at,
                self._under(how.own_addresses) if how.max_per_chat is None else None,
            ),
            partial=how.partial,
        )


@dataclass(frozen=True)
class _How:
    """What of archived days is loaded, and for whom."""

    own_addresses: frozenset[str]
    max_per_chat: int | None
    partial: bool
    force: bool


def _decoded(
    parts: Iterable[pl.DataFrame], own_addresses: frozenset[str]
) -> tuple[pl.DataFrame, list[Rejected]]:
    """Decode archived rows, a few thousand at once: more of Python's objects only fill memory."""
    frames, rejected = [], []
    for archived in _gathered(parts):
        decoded = decode_rows(archived["payload"].to_list(), own_addresses)
        where = archived.select("day", "row_key", "read_at")[decoded.frame["index"]]
        frames.append(decoded.frame.hstack(where))
        rejected += [
            Rejected(
                day=archived["day"][bad.index],
                row_key=archived["row_key"][bad.index],
                reason=bad.reason,
                # Postgres cannot hold U+0000; JSON's own way to write it can be kept.
                payload=_kept(archived["payload"][bad.index], bad.reason)
                .decode(errors="replace")
                .replace("\x00", "\\u0000"),
            )
            for bad in decoded.rejected
        ]
    return pl.concat(frames), rejected


def _kept(payload: bytes, reason: str) -> bytes:
    """Return what quarantine keeps of a row; the archive has one that is too large."""
    return payload[:QUARANTINED_BYTES] if reason == "too_large" else payload


def _gathered(parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Put parts together until they are worth the work; the last one may be empty.

    A quiet channel's days hold a few rows each: looked at one by one, a year of them cost a second.
    """
    waiting = [DAY_SCHEMA.to_frame()]
    for part in parts:
        waiting.append(part)
        if sum(frame.height for frame in waiting) >= DECODED_ROWS:
            yield pl.concat(waiting)
            waiting = [DAY_SCHEMA.to_frame()]
    yield pl.concat(waiting)


class _Pending:
    """Rows that were read and wait for the end of their day.

    Args:
        days: contiguous, ascending; rows of other days are left.
    """

    def __init__(self, calendar: Calendar, days: Sequence[date]) -> None:
        self._calendar = calendar
        self._days = list(days)
        self._frames: list[pl.DataFrame] = []

    def add(self, page: Page) -> dict[date, pl.DataFrame]:
        """Put the rows of a page to their days; return the days that it completes, as `READ`."""
        if page.rows and self._days:
            self._frames.append(self._placed(page.rows))
        done = [day for day in self._days if second_of(day) + DAY <= page.complete_before]
        if not done:
            return {}
        self._days = self._days[len(done) :]
        rows = pl.concat([_PENDING.to_frame(), *self._frames])
        self._frames = [rows.filter(pl.col("day") > done[-1])]
        complete = rows.filter(pl.col("day") <= done[-1]).partition_by(
            "day", maintain_order=True, include_key=False, as_dict=True
        )
        return {day: complete.get((day,), READ.to_frame()) for day in done}

    def _placed(self, rows: Sequence[bytes]) -> pl.DataFrame:
        names, times = envelopes_of(rows)
        day = self._calendar.days_of(pl.col("time")).alias("day")
        return (
            pl.DataFrame({"row_key": names, "payload": [strip_secrets(row) for row in rows]}, READ)
            .with_columns(pl.Series("time", times, dtype=pl.Float64, strict=False))
            .select(day, *READ)
            .filter(pl.col("day").is_between(self._days[0], self._days[-1]))
        )


def _without(tombstones: Tombstones, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows without the people who were erased; the payload of a row of theirs is null."""
    if not tombstones:
        return rows
    eraser = Eraser(tombstones.covers)
    cleaned = [eraser.clean(payload) for payload in rows["payload"]]
    return rows.with_columns(pl.Series("payload", cleaned, dtype=pl.Binary))


@dataclass
class _Leaving:
    """Takes erased people out of archived days, and knows which rows were theirs.

    There are any only where an erasure was cut off before it came to the archive.

    Attributes:
        rows: `day` and `row_key`, each once.
    """

    tombstones: Tombstones
    rows: pl.DataFrame = field(
        default_factory=lambda: DAY_SCHEMA.to_frame().select("day", "row_key")
    )

    def of(self, archived: pl.DataFrame) -> pl.DataFrame:
        """Return days without them; of a row of theirs no version stays."""
        if not self.tombstones:
            return archived
        cleaned = _without(self.tombstones, archived)
        theirs = cleaned.filter(pl.col("payload").is_null()).select("day", "row_key").unique()
        if theirs.is_empty():
            return cleaned
        self.rows = pl.concat([self.rows, theirs])
        return cleaned.join(theirs, on=["day", "row_key"], how="anti", maintain_order="left")


def _members(entry: Entry) -> str | None:
    if entry.members is None:
        return None
    members = [{"address": a, "is_admin": admin} for a, admin in sorted(entry.members.items())]
    return msgspec.json.encode(members).decode()


def _evidence(kept: pl.DataFrame) -> list[Evidence]:
    """Return what messages say in passing of who is whom, each with the newest time it was said."""
    seen_at = pl.when("time_trusted").then("at").otherwise(UNTRUSTED).alias("at")
    pairs = pl.concat(
        [
            kept.select(pl.col("chat").alias("one"), pl.col("chat_alt").alias("other"), seen_at),
            kept.select(
                pl.col("sender").alias("one"), pl.col("sender_alt").alias("other"), seen_at
            ),
        ]
    ).drop_nulls()
    one, other = pl.col("one"), pl.col("other")
    swapped = one.str.ends_with(PHONE_SUFFIX)
    return [
        Evidence(lid, phone, "messages", at)
        for lid, phone, at in pairs.select(
            pl.when(swapped).then(other).otherwise(one).alias("lid"),
            pl.when(swapped).then(one).otherwise(other).alias("phone"),
            "at",
        )
        .filter(
            pl.col("lid").str.ends_with(LID_SUFFIX), pl.col("phone").str.ends_with(PHONE_SUFFIX)
        )
        .group_by("lid", "phone")
        .agg(pl.col("at").max())
        .sort("lid", "phone")
        .iter_rows()
    ]


def windows_of(archive: Archive, channel: str, days: Sequence[date]) -> Iterator[list[date]]:
    """Group days so that a window holds about `WINDOW_ROWS` rows, and at least one day."""
    window: list[date] = []
    rows = 0
    for day, count in archive.counts(channel, days):
        if window and rows + count > WINDOW_ROWS:
            yield window
            window, rows = [], 0
        window.append(day)
        rows += count
    if window:
        yield window


def archived_times(archive: Archive, channel: str, days: Sequence[date]) -> dict[str, int]:
    """Return the earliest time of each archived row, epoch seconds, by WAHA's id.

    Read from the rows' envelopes, not through the decoder, so that a proof which compares with the
    CRM does not repeat the loader's own mistake.
    """
    times: dict[str, int] = {}
    for archived in archive.each(channel, days):
        names, said = envelopes_of(archived["payload"].to_list())
        for name, timestamp in zip(names, said, strict=True):
            if timestamp is not None:
                second = int(timestamp)
                times[name] = min(second, times.get(name, second))
    return times
