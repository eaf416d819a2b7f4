"""Whatever an account does and however its import is interrupted, the CRM holds what is true.

Programs are generated: pages read in any order, the CRM's own webhook between them, people learned
late and contradicted, edits, acks, revokes, crashes, merges and their reversal. After every step
the CRM is compared with a model (`programs.Truth`), and at the end with an import of the same
archive in another order.

`make prove` runs many programs with seeds of their own (`VENTROS_PROGRAMS`); the suite runs few,
always the same.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from ventros_pipeline.crm import merging
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.merging import Settled
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.cutting import badly_cut
from ventros_pipeline_tests.import_.programs import (
    ADDRESSES,
    DAYS,
    GROUP,
    LATE_IN_LOAD,
    LATE_IN_SETTLING,
    LINE,
    PEOPLE,
    STANZAS,
    WORD,
    Block,
    CrashError,
    Crm,
    Facts,
    Live,
    Seen,
    Truth,
    addresses_by_contact,
    pair,
)

PROGRAMS = int(os.environ.get("VENTROS_PROGRAMS", "0"))
FEW, STEPS = 28, 10
LEARNED = datetime(2026, 6, 20, tzinfo=UTC)
CRM_CONTACTS = UUID("4b7c5f0e-2c1d-4f3a-9a67-0c5d1e2f3a4b")

Key = tuple[int, Block, Any]

Stanzas = st.sampled_from(STANZAS)


@st.composite
def seen(draw: st.DrawFn) -> Seen:
    """Draw a row: of an incoming message under an address of its sender, else under anyone's."""
    stanza = draw(Stanzas)
    addresses = ADDRESSES if stanza.sender is None else PEOPLE[stanza.sender]
    address = draw(st.sampled_from(addresses))
    is_mark = draw(st.integers(0, 9)) == 9
    others = [a for a in ADDRESSES if a.endswith("@lid") != address.endswith("@lid")]
    alt = draw(st.sampled_from([None, None, None, *others]))
    return Seen(
        draw(st.sampled_from([0, 0, 0, 1])),
        stanza,
        GROUP if stanza.in_group and stanza.from_me else address,
        draw(st.sampled_from([0, 0, 1, 2])),
        draw(st.sampled_from([None, -1, 0, 1, 2, 3])) if stanza.from_me else None,
        None if is_mark or (stanza.in_group and stanza.from_me) else alt,
        is_mark,
    )


class Programs(RuleBasedStateMachine):
    """Programs over one CRM, which every program finds empty."""

    crm: Crm
    programs = 0
    steps: ClassVar[Counter[str]] = Counter()
    # How often the product took people apart.
    splits = 0

    def __init__(self) -> None:
        super().__init__()
        self.truth = Truth()
        # Whether contacts follow all that was said of people.
        self.is_settled = True
        # Whether a split has left rows behind that only another reading of their days brings.
        self.is_stale = False
        # Whether addresses were ever taken apart: what a row learned in between may stay with it.
        self.was_split = False

    @initialize()
    def begin(self) -> None:
        type(self).programs += 1
        if self.programs % 100 == 0:
            print(f"{self.programs} programs", flush=True)
        self.crm.empty()

    # -- actions ----------------------------------------------------------------------------------

    @rule(page=st.lists(seen(), min_size=1, max_size=3), crash=st.sampled_from([0, 0, 0, 0, 1, 2]))
    def read_a_page(self, page: list[Seen], crash: int) -> None:
        self.count("read a page")
        for row in page:
            self.archive(row)
        for channel in sorted({row.channel for row in page}):
            days = sorted({row.day for row in page if row.channel == channel}, reverse=bool(crash))
            self.load(channel, days, crash)
        self.check()

    @rule(page=st.lists(seen(), min_size=1, max_size=2))
    def read_a_page_that_is_loaded_later(self, page: list[Seen]) -> None:
        self.count("read a page for later")
        for row in page:
            self.archive(row)

    @rule(
        channel=st.sampled_from([0, 0, 1]),
        order=st.permutations(DAYS),
        in_one=st.booleans(),
    )
    def load_the_days_again_in_any_order(
        self, channel: int, order: list[date], *, in_one: bool
    ) -> None:
        self.count("load days again")
        days = self.truth.days().get(channel, [])
        if in_one:
            self.load(channel, days)
        else:
            for day in [day for day in order if day in days][:2]:
                self.load(channel, [day])
        self.check()

    @rule(
        two=st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES)),
        source=st.sampled_from(["lids", "contacts", "groups"]),
        day=st.integers(0, 4),
        crash=st.sampled_from([False, False, False, True]),
    )
    def learn_who_is_who(self, two: tuple[str, str], source: str, day: int, *, crash: bool) -> None:
        self.count("learn")
        one, other = sorted(two, reverse=True)
        if one.endswith("@lid") and not other.endswith("@lid"):
            self.learn(one, other, source, LEARNED + timedelta(days=day), crash=crash)
            self.check()

    @rule(two=st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES)))
    def let_an_operator_join_two(self, two: tuple[str, str]) -> None:
        self.count("join by operator")
        one, other = two
        if one == other:
            return
        before = self.crm.state() if self.is_settled else None
        held = addresses_by_contact(self.crm.contacts())
        done = self.learn(one, other, "operator", LEARNED)
        self.check()
        # Undone at once, a single merge of two contacts leaves everything as it was.
        if before and done == Settled(merged=1) and one in held and other in held:
            merge = self.crm.merges()[-1]
            self.undo(merge)
            self.check()
            if self.is_settled:
                assert_same(self.crm.state(), before, "undone at once")

    @rule(which=st.integers(0, 5))
    def take_a_merge_apart(self, which: int) -> None:
        self.count("undo")
        merges = [m for m in self.crm.merges() if m["undone_at"] is None and not m["stands_under"]]
        if merges:
            self.undo(merges[which % len(merges)])
            self.check()

    @rule(
        channel=st.sampled_from([0, 0, 1]),
        stanza=st.sampled_from([s for s in STANZAS if not s.in_group]),
        which=st.integers(0, len(ADDRESSES) - 1),
        is_full=st.booleans(),
        source=st.sampled_from(["webhook", "manual"]),
    )
    def let_the_webhook_write(
        self, channel: int, stanza: Any, which: int, *, is_full: bool, source: str
    ) -> None:
        """The CRM's own writer; a LID has a contact of the CRM's without a number."""
        self.count("webhook")
        addresses = [a for a in ADDRESSES if a.endswith("@lid") or a in LINE]
        if stanza.sender is not None:
            addresses = [a for a in addresses if a in PEOPLE[stanza.sender]]
        address = addresses[which % len(addresses)]
        name = f"{str(stanza.from_me).lower()}_{address}_{stanza.id}" if is_full else stanza.id
        by_phone = address in LINE
        contact = uuid5(CRM_CONTACTS, address)
        if not is_full and not by_phone:
            return  # Nothing says whose such a row is.
        if any(row.stanza == stanza and row.channel == channel for row in self.truth.shown()):
            return
        contact = UUID(f"{contact.hex[:12]}4{contact.hex[13:]}")
        live = Live(channel, stanza, address, name, source, contact, by_phone)
        if written := self.crm.write_live(live):
            self.truth.lives.append(written)
        self.check()

    @rule()
    def settle(self) -> None:
        self.count("settle")
        self.settle_all()
        self.check()

    # -- how actions are done ---------------------------------------------------------------------

    def count(self, action: str) -> None:
        type(self).steps[action] += 1

    def archive(self, row: Seen) -> None:
        """Read a row; one that the webhook stored comes under the webhook's address.

        A row of the CRM's is known again by its own name only: see `adopt_messages.sql`.
        """
        for live in self.truth.lives:
            if (live.channel, live.stanza) == (row.channel, row.stanza):
                row = row._replace(address=live.address, alt=None)
        self.crm.read(row)
        self.truth.archived.append(row)

    def load(self, channel: int, days: Sequence[date], crash: int = 0) -> None:
        """Load days; a crash keeps what was committed before it, and the same step comes again."""
        before = self.truth.people()
        if crash:
            owner, name = LATE_IN_LOAD if crash == 1 else LATE_IN_SETTLING
            with self.crm.crash(owner, name), suppress(CrashError):
                self.crm.load(channel, days)
        self.crm.load(channel, days)
        all_new = self.truth.load(channel, days)
        self.follow(before, all_new=all_new)

    def learn(
        self, one: str, other: str, source: str, seen_at: datetime, *, crash: bool = False
    ) -> Settled:
        before = self.truth.people()
        if crash:
            with self.crm.crash(*LATE_IN_SETTLING), suppress(CrashError):
                self.crm.learn(one, other, source, seen_at)
        done = self.crm.learn(one, other, source, seen_at)
        is_new = self.truth.tell(one, other, source, seen_at)
        self.follow(before, all_new=is_new)
        return done

    def follow(self, before: dict[str, Block], *, all_new: bool) -> None:
        """Take over what messages showed by themselves, and let people follow it.

        What was said before and is said again, only newer, changes nothing until all is compared.
        """
        for one, other, seen_at in self.crm.stanza_evidence():
            self.assert_is_evident(one, other)
            self.truth.tell(one, other, "stanzas", seen_at)
        after = self.truth.people()
        if after != before:
            if any(not block <= after[a] for a, block in before.items()):
                self.part()
            self.is_settled = self.is_settled and all_new
        if not self.is_settled:
            self.settle_all()

    def settle_all(self) -> None:
        self.crm.settle()
        self.is_settled = True
        assert self.crm.is_settled(), "a settling leaves something to settle"

    def part(self) -> None:
        """Remember that people were taken apart.

        Where a message was one row under both addresses, its row goes with one of them; the other's
        comes when its day is read again.
        """
        self.was_split = self.is_stale = True

    def undo(self, merge: dict[str, Any]) -> None:
        self.crm.undo(merge["merge_id"])
        self.truth.apart |= {
            pair(a, b) for a in merge["kept_addresses"] for b in merge["absorbed_addresses"]
        }
        self.part()
        assert self.crm.is_settled(), "an undone merge leaves something to settle"

    def assert_is_evident(self, one: str, other: str) -> None:
        """Only what came in, seen under both addresses, shows that they are one person."""
        assert any(
            a.stanza == b.stanza and not a.stanza.from_me and not a.stanza.in_group
            for a in self.truth.shown()
            if a.address == one
            for b in self.truth.shown()
            if b.address == other
        )

    # -- what must hold ---------------------------------------------------------------------------

    def check(self) -> None:
        people = self.truth.people()
        contacts = self.crm.contacts()
        check_contacts(contacts, self.truth, people)
        check_messages(self, self.crm.rows(), contacts, people)
        for channel in self.crm.channels:
            assert not badly_cut(self.crm.engine, channel)

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.check_all()

    def check_all(self) -> None:
        """Read everything again; then what the CRM holds is what any other order gives it."""
        self.read_all()
        self.settle_all()
        if self.was_split:
            self.read_all()
            self.settle_all()
        self.is_stale = False
        self.check()
        self.assert_proved()
        here, loosely = self.content(), self.content(is_loose=True)
        # Half of the programs each way: two more imports would be most of what a program costs.
        is_known_first = len(self.truth.archived) % 2 == 0
        was_split = self.import_anew(is_known_first=is_known_first)
        self.assert_proved()
        # Edited rows show by equal times who is who only in some orders of days.
        if any(
            (pair(a, b), "stanzas") not in self.truth.told for a, b, _ in self.crm.stanza_evidence()
        ):
            return
        anew = self.content(is_loose=was_split)
        assert_same(anew, loosely if was_split else here, f"imported anew, {is_known_first=}")

    def read_all(self) -> None:
        for channel, days in self.truth.days().items():
            self.load(channel, days)

    def assert_proved(self) -> None:
        assert not self.crm.findings()

    def import_anew(self, *, is_known_first: bool) -> bool:
        """Import the same archive into an empty CRM, newest day first, with the same evidence.

        Returns:
            Whether people were taken apart on the way, by what was said late.
        """
        before = type(self).splits
        self.crm.forget()
        for live in self.truth.lives:
            self.crm.write_live(live)
        if is_known_first:
            self.tell_all()
        for channel, days in reversed(self.truth.days().items()):
            for day in reversed(days):
                self.crm.load(channel, [day])
        if not is_known_first:
            self.tell_all()
        self.crm.settle()
        was_split = type(self).splits > before
        if self.was_split or was_split:
            # What came before people were taken apart stands with one of them until read again.
            for channel, days in self.truth.days().items():
                self.crm.load(channel, days)
            self.crm.settle()
        return was_split

    def tell_all(self) -> None:
        self.crm.separate(self.truth.apart)
        self.crm.learn_all(
            [(min(two), max(two), source, at) for (two, source), at in self.truth.told.items()]
        )

    def content(self, *, is_loose: bool = False) -> list[Any]:
        """Return what the CRM shows, by content: no ids, no moments of writing.

        Args:
            is_loose: whether without what a row may have learned while two people were one.
        """
        is_loose = is_loose or self.was_split
        contacts = {row["id"]: row for row in self.crm.contacts()}
        shown = []
        for row in self.crm.rows():
            if row["stanza_id"] is None or row["duplicate_of"] is not None:
                continue
            facts = (row["second"], row["text"], row["status"], row["is_revoked"])
            # Where nothing says that a sender's two addresses are one, the first that came counts.
            is_open = row["owner"] == addresses_by_contact(contacts.values()).get(GROUP)
            is_ours = row["source"] == "history_import"
            shown.append(
                (
                    str(row["channel_id"]),
                    row["stanza_id"],
                    *who(contacts, row["owner"]),
                    *(who(contacts, row["contact_id"]) if is_ours and not is_open else ()),
                    row["source"],
                    row["is_live"] if not is_loose else None,
                    *(facts if not is_loose else ()),
                )
            )
        return sorted(shown, key=repr)


def who(contacts: dict[UUID, dict[str, Any]], contact: UUID) -> tuple[Any, ...]:
    row = contacts.get(contact)
    return (None,) if row is None else (tuple(sorted(row["addresses"])), row["phone"] is not None)


def check_contacts(contacts: list[dict[str, Any]], truth: Truth, people: dict[str, Block]) -> None:
    """Every address leads to a live contact of its person; a LID's digits are no phone number."""
    holders = addresses_by_contact(contacts)
    by_id = {row["id"]: row for row in contacts}
    assert truth.addresses() <= holders.keys()
    numbers: Counter[str] = Counter()
    for row in contacts:
        if row["id"].version == 4 and not any(source == "operator" for _, source in truth.told):
            assert row["is_live"], "a contact of the CRM was deleted, and no person said so"
        if not row["addresses"] or row["is_group"]:
            continue
        assert row["is_live"], "an address leads to a deleted contact"
        assert row["absorbed_by"] is None
        block = people[row["addresses"][0]]
        assert set(row["addresses"]) <= block, "a contact holds addresses of two people"
        assert set(row["addresses"]) >= block & holders.keys(), "a person has two contacts"
        phone = (row["phone"] or "").lstrip("+")
        assert not phone or f"{phone}@c.us" in block & LINE.keys(), "a number of somebody else"
        carried = any((r["phone"] or "").lstrip("+") + "@c.us" in block for r in contacts)
        assert carried or not set(row["addresses"]) & LINE.keys(), "a known number is missing"
    for row in by_id.values():
        if row["is_live"] and row["is_ours"] and row["phone"]:
            numbers[row["phone"].lstrip("+")] += 1
    assert all(number == 1 for number in numbers.values()), "two contacts carry one number"


def check_messages(
    machine: Programs,
    rows: list[dict[str, Any]],
    contacts: list[dict[str, Any]],
    people: dict[str, Block],
) -> None:
    """Every message is one row: live, or a tombstone; none is lost, none stands twice."""
    truth, crm = machine.truth, machine.crm
    holders = addresses_by_contact(contacts)
    channels = {channel.id: number for number, channel in enumerate(crm.channels)}
    found: dict[tuple[int, UUID, str], dict[str, Any]] = {}
    for row in rows:
        assert row["source"] == "history_import" or row["is_live"] or row["is_revoked"]
        if row["stanza_id"] is None:
            assert row["source"] != "history_import", "an imported row without a key"
            continue
        if row["duplicate_of"] is not None:
            assert not row["is_live"] or row["source"] != "history_import", "a live copy"
            continue
        found[channels[row["channel_id"]], row["owner"], row["stanza_id"]] = row
    expected = truth.messages(people)
    wanted = {
        (channel, holders[min(block & holders.keys())], stanza.id): (stanza, facts)
        for (channel, block, stanza), facts in expected.items()
    }
    if machine.is_stale:
        # A row that two people share for now stands with one of them.
        missing = {(c, s) for c, _, s in wanted} - {(c, s) for c, _, s in found}
        assert not missing, f"lost: {missing}"
    else:
        assert found.keys() == wanted.keys(), (found.keys() ^ wanted.keys(), found, wanted)
    for key, row in found.items():
        if key in wanted and not machine.is_stale:
            check_facts(row, *wanted[key], holders, is_exact=not machine.was_split)
    check_lives(machine, rows, wanted)


def check_facts(
    row: dict[str, Any], stanza: Any, facts: Facts, holders: dict[str, UUID], *, is_exact: bool
) -> None:
    """The newest edit, the earliest time, the highest status, the right side and person."""
    assert row["from_me"] is stanza.from_me or not facts.versions
    if row["source"] == "history_import" and facts.senders:
        owners = {
            holders[GROUP if stanza.in_group and stanza.from_me else a] for a in facts.senders
        }
        assert row["contact_id"] in owners, "a message hangs on somebody else"
    if not is_exact:
        return
    assert row["is_live"] is not (facts.is_revoked and bool(facts.versions)), "revoked or not"
    if facts.versions:
        assert row["text"] == f"{stanza.id} {max(facts.versions)}"
        assert row["second"] == min(facts.seconds)
        assert row["status"] == WORD[max(facts.ranks, default=0)]


def check_lives(machine: Programs, rows: list[dict[str, Any]], wanted: Collection[Any]) -> None:
    """No imported row stands beside the CRM's own row of the same message."""
    names = {(row["channel_id"], row["name"]) for row in rows if row["source"] != "history_import"}
    for live in machine.truth.lives:
        assert (machine.crm.channels[live.channel].id, live.name) in names, "a live row is gone"


def assert_same(now: Any, before: Any, when: str) -> None:
    if now != before:
        if isinstance(now, dict):
            now = {
                k: [r for r in v if r not in before[k]] for k, v in now.items() if v != before[k]
            }
            raise AssertionError(f"{when}: {now} differs from {before}")
        gone = [line for line in before if line not in now]
        new = [line for line in now if line not in before]
        raise AssertionError(f"{when}: new {new}, gone {gone}, all {now}")


@pytest.fixture(scope="module")
def crm(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[Crm]:
    take_apart = merging._Movement.split

    def counted(movement: Any, splits: Any) -> None:
        Programs.splits += len(splits)
        take_apart(movement, splits)

    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_database(postgres_server.url, migrated_template) as url,
    ):
        patch.setattr(merging._Movement, "split", counted)
        engine = connect(url)
        yield Crm(engine, tmp_path_factory.mktemp("home"))
        engine.dispose()


def test_no_program_breaks_a_law(crm: Crm) -> None:
    Programs.crm = crm
    run_state_machine_as_test(
        Programs,
        settings=settings(
            max_examples=PROGRAMS or FEW,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not PROGRAMS,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{Programs.programs} programs, {sum(Programs.steps.values())} steps, no law broken:")
    print(dict(Programs.steps.most_common()))
