"""One account served by four engines: what each shows, and where and why they differ."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.control import Control
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ENGINES, ReplayServer
from ventros_pipeline.replay.stored import Stored
from ventros_pipeline.waha.wire import decode_rows
from ventros_pipeline_tests.replay.conftest import client

PAYLOADS = Path(__file__).parents[2].parent / "shared" / "reference" / "payloads"
OWN = frozenset({"5511990000000@c.us", "199900000000001@lid"})
Message = dict[str, Any]

# Columns of a decoded row that an engine shows differently, and why.
SENDER = "GOWS and WPP name a writer in broadcasts and newsletters, too"
MISSING_ACK = "only NOWEB shows a missing status of an incoming message as -1"
REACTIONS = "only NOWEB keeps reactions on the row"
TEXTS = "WhatsApp Web has polls' names and invitations' texts as body or caption"
EXPIRED = "expired media has no directPath, which is what WhatsApp Web calls having media"
WRAPPERS = "WhatsApp Web's models have no wrappers"
OWN_IDS = "WhatsApp Web knows its own messages in LID groups, so the id says true"
NO_ALT = "WhatsApp Web's models tell no other address"
UNKNOWN = "WhatsApp Web has its own names for kinds"
NUMBERS = "a time that is text or null is a number to Go and to WhatsApp Web"
DIFFERENT = {
    "gows": {
        "sender": SENDER,
        "ack": MISSING_ACK,
        "details": REACTIONS,
        "timestamp": NUMBERS,
        "timestamp_raw": NUMBERS,
    },
    "webjs": {
        "ack": MISSING_ACK,
        "details": REACTIONS,
        "text": TEXTS,
        "has_media": EXPIRED,
        "wrappers": WRAPPERS,
        "waha_id": OWN_IDS,
        "chat_alt": NO_ALT,
        "sender_alt": NO_ALT,
        "raw_kind": UNKNOWN,
        "timestamp_raw": NUMBERS,
    },
}
DIFFERENT["wpp"] = DIFFERENT["webjs"] | {"sender": SENDER}
OTHERS = ("gows", "webjs", "wpp")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Every kind, the odd rows, unlisted chats, dropped rows."""
    folder = tmp_path_factory.mktemp("engines")
    generate(folder, messages=2500, chats=24, seed=9, nasty=True, unlisted=1, dropped_share=0.02)
    loaded = Account.load(folder)
    yield loaded
    loaded.close()


@contextmanager
def served(account: Account, engine: str, **options: Any) -> Iterator[httpx.Client]:
    with ReplayServer(account, engine=engine, **options) as server, client(server) as session:
        yield session


@pytest.fixture(scope="module")
def sessions(account: Account) -> Iterator[dict[str, httpx.Client]]:
    """A client of one server for each engine, for tests that only read."""
    with ExitStack() as stack:
        yield {engine: stack.enter_context(served(account, engine)) for engine in ENGINES}


@pytest.fixture
def gows(sessions: dict[str, httpx.Client]) -> httpx.Client:
    return sessions["gows"]


@pytest.fixture
def webjs(sessions: dict[str, httpx.Client]) -> httpx.Client:
    return sessions["webjs"]


@pytest.fixture
def wpp(sessions: dict[str, httpx.Client]) -> httpx.Client:
    return sessions["wpp"]


def ask(waha: httpx.Client, chat: str, **query: Any) -> list[Message]:
    names = {"gte": "filter.timestamp.gte", "lte": "filter.timestamp.lte"}
    asked = {"downloadMedia": "false", "merge": "false"}
    asked |= {names.get(name, name): str(value) for name, value in query.items()}
    response = waha.get(f"/api/default/chats/{chat}/messages", params=asked)
    assert response.status_code == 200, response.text
    return response.json()


def largest(account: Account, suffix: str = "@s.whatsapp.net") -> str:
    """The chat of this sort with the most rows and no odd ones."""
    counts: dict[str, int] = {}
    for chat_id, text in account.stored():
        odd = len(str(Stored.parse(text).message.get("timestamp"))) != 10
        counts[chat_id] = counts.get(chat_id, 0) + (-10_000 if odd else 1)
    found = max((chat for chat in counts if chat.endswith(suffix)), key=lambda chat: counts[chat])
    return found.replace("@s.whatsapp.net", "@c.us")


def decoded(account: Account, engine: str) -> pl.DataFrame:
    rows = ENGINES[engine](account, Control("key"))
    result = decode_rows([rows.shown(text) for _, text in account.stored()], OWN)
    assert not result.rejected
    return result.frame


@pytest.mark.parametrize("engine", OTHERS)
def test_every_row_means_the_same_on_every_engine_but_for_what_it_does_not_show(
    account: Account, engine: str
) -> None:
    base, frame = decoded(account, "noweb"), decoded(account, engine)
    differing = {name for name in base.columns if not base[name].equals(frame[name])}
    assert differing == set(DIFFERENT[engine])
    known = pl.Series([bool(Stored.parse(text).status) for _, text in account.stored()])
    assert base.filter(known)["ack"].equals(frame.filter(known)["ack"])
    honest = base["timestamp"].is_not_null()
    assert base.filter(honest)["timestamp"].equals(frame.filter(honest)["timestamp"])
    named = ~base["raw_kind"].str.starts_with("unknown")
    assert base.filter(named)["raw_kind"].equals(frame.filter(named)["raw_kind"])
    many = base["sender"].is_not_null()
    assert base.filter(many)["sender"].equals(frame.filter(many)["sender"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_is_converted_the_same_way_every_time(account: Account, engine: str) -> None:
    first, second = (ENGINES[engine](account, Control("key")) for _ in range(2))
    texts = [text for _, text in account.stored()][:300]
    assert [first.shown(text) for text in texts] == [second.shown(text) for text in texts]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_truth_agrees_with_what_a_reader_decodes(account: Account, engine: str) -> None:
    rows = ENGINES[engine](account, Control("key"))
    facts = [rows.fact(chat, text) for chat, text in account.stored()]
    frame = decoded(account, engine)
    assert [fact.key for fact in facts] == list(zip(frame["chat"], frame["stanza_id"], strict=True))
    assert [fact.from_me for fact in facts] == frame["from_me"].to_list()
    kinds = [kind.split(":")[0] for kind in frame["raw_kind"]]
    assert [fact.kind for fact in facts] == kinds


@pytest.mark.parametrize("engine", ENGINES)
def test_version_and_session_name_the_engine(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    session = sessions[engine]
    version = session.get("/api/server/version").json()
    info = session.get("/api/sessions/default").json()
    assert version["engine"] == info["engine"]["engine"] == engine.upper()
    assert list(info["config"]) == [engine]
    assert ("lid" in info["me"]) is (engine != "webjs")
    assert ("jid" in info["me"]) is (engine == "gows")


def test_webjs_names_its_own_lid_from_2026_7_1(account: Account) -> None:
    with served(account, "webjs", version="2026.7.1") as session:
        assert session.get("/api/sessions/default/me").json()["lid"].endswith("@lid")
        assert session.get("/api/server/version").json()["version"] == "2026.7.1"


# -- shapes against the samples --------------------------------------------------------------

SAMPLES = {
    "gows_dm_in_reply.json": ("gows", "text", "quotedMessage"),
    "gows_dm_in_poll.json": ("gows", "poll", ""),
    "gows_dm_out_text_read.json": ("gows", "text", "extendedTextMessage"),
    "webjs_dm_in_text.json": ("webjs", "text", ""),
    "webjs_dm_in_image.json": ("webjs", "image", "caption"),
    "webjs_dm_in_location.json": ("webjs", "location", ""),
    "webjs_dm_in_vcard.json": ("webjs", "contact", ""),
    "webjs_dm_in_poll.json": ("webjs", "poll", ""),
    "webjs_dm_in_reply.json": ("webjs", "text", "quotedMessage"),
    "webjs_dm_in_ptt.json": ("webjs", "voice", ""),
    "wpp_dm_in_text.json": ("wpp", "text", ""),
}
NOT_COMPARED = {"messageSecret", "messageContextInfo", "media"}


def names_of(value: Any, depth: int = 2) -> set[str]:
    """The names in an object, two levels deep."""
    found: set[str] = set()
    for name, inner in value.items():
        if name in NOT_COMPARED:
            continue
        found.add(name)
        if depth and isinstance(inner, dict):
            found |= names_of(inner, depth - 1)
    return found


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the samples are not at hand")
@pytest.mark.parametrize("name", SAMPLES)
def test_a_served_row_has_every_field_of_the_sample_of_its_kind(
    account: Account, name: str
) -> None:
    engine, kind, word = SAMPLES[name]
    rows = ENGINES[engine](account, Control("key"))
    sample = json.loads((PAYLOADS / name).read_text())
    sample = sample.get("payload", sample)
    best: set[str] = {"nothing was compared"}
    for _, text in account.stored():
        row = Stored.parse(text)
        if row.kind == kind and word.encode() in text and not row.participant and row.data:
            missing = names_of(sample) - names_of(json.loads(rows.shown(text)))
            best = min(best, missing, key=len) if "nothing was compared" not in best else missing
    assert not best


# -- GOWS ------------------------------------------------------------------------------------


def test_gows_rows_have_go_casing_text_bytes_and_no_other_side(
    account: Account, gows: httpx.Client
) -> None:
    rows = ask(gows, largest(account), limit=-1)
    text = json.dumps(rows)
    for name in ("fileSHA256", "JPEGThumbnail", "stanzaID", "PTT", '"URL"'):
        assert name in text
    for name in ("fileSha256", "jpegThumbnail", "stanzaId", '"ptt":', '"Buffer"'):
        assert name not in text
    assert all(row["to"] is None and row["participant"] is None for row in rows)
    assert {row["from"] for row in rows} == {largest(account)}


def test_gows_names_the_writer_as_recipient_in_groups(account: Account, gows: httpx.Client) -> None:
    rows = ask(gows, largest(account, "@g.us"), limit=50)
    assert all(row["to"] == row["participant"] for row in rows)
    assert all(row["_data"]["Info"]["IsGroup"] for row in rows)


def test_gows_shows_a_missing_status_and_an_error_as_no_information(
    account: Account, gows: httpx.Client
) -> None:
    rows = ask(gows, "all", limit=-1)
    missing = [row for row in rows if row.get("_data") and not row["_data"]["Status"]]
    assert missing
    assert {(row["ack"], row["ackName"]) for row in missing} == {(None, "UNKNOWN")}
    assert -1 not in {row["ack"] for row in rows}


def test_gows_orders_by_number_where_noweb_orders_by_text(
    account: Account, sessions: dict[str, httpx.Client]
) -> None:
    session = sessions["gows"]
    times = [row["timestamp"] for row in ask(session, "all", limit=-1, sortOrder="asc")]
    assert times == sorted(times)
    assert times[0] < 0
    session = sessions["noweb"]
    texts = [row["timestamp"] for row in ask(session, "all", limit=-1, sortOrder="asc")]
    assert texts[-1] is None


def test_gows_lists_chats_by_id_from_its_messages(account: Account, gows: httpx.Client) -> None:
    chats = gows.get("/api/default/chats", params={"merge": "false"}).json()
    assert {tuple(chat) for chat in chats} == {("id", "name", "conversationTimestamp")}
    assert [chat["id"] for chat in chats] == sorted(chat["id"] for chat in chats)
    assert {chat["id"] for chat in chats} == {row["from"] for row in ask(gows, "all", limit=-1)}
    folded = gows.get("/api/default/chats", params={"sortBy": "conversationTimestamp"}).json()
    assert len(folded) < len(chats)
    assert gows.get("/api/default/chats/overview").json()[0]["lastMessage"]["_data"]["Info"]


def test_gows_finds_a_message_whatever_chat_is_named(account: Account, gows: httpx.Client) -> None:
    row = ask(gows, largest(account), limit=1)[0]
    found = gows.get(f"/api/default/chats/0@c.us/messages/{row['_data']['Info']['ID']}")
    assert found.json() == row
    assert gows.get("/api/default/chats/all/messages/3EB0NONE").status_code == 404


def test_gows_groups_and_contacts_have_their_own_names(gows: httpx.Client) -> None:
    group = gows.get("/api/default/groups").json()[0]
    assert {"JID", "Name", "OwnerJID", "AddressingMode"} <= set(group)
    assert {"JID", "LID", "PhoneNumber", "IsAdmin"} <= set(group["Participants"][0])
    light = gows.get("/api/default/groups", params={"exclude": "participants"}).json()
    assert "Participants" not in light[0]
    people = gows.get("/api/contacts/all", params={"session": "default"}).json()
    assert {tuple(person) for person in people} == {("id", "name", "pushname")}
    one = gows.get(f"/api/default/contacts/{people[0]['id']}").json()
    assert one == people[0]


# -- WEBJS and WPP ---------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["webjs", "wpp"])
def test_engines_of_a_browser_know_no_all_and_no_chat_they_never_met(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    session = sessions[engine]
    assert session.get("/api/default/chats/all/messages").status_code == 501
    lost = session.get("/api/default/chats/5511000000000@c.us/messages")
    assert lost.status_code == 500
    assert lost.json()["version"]["engine"] == engine.upper()


@pytest.mark.parametrize("engine", ["webjs", "wpp"])
def test_a_row_names_both_sides_by_its_direction(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    chat, me = largest(account), "5511990000000@c.us"
    session = sessions[engine]
    sides = {(r["fromMe"], r["from"], r["to"]) for r in ask(session, chat, limit=500)}
    group = ask(session, largest(account, "@g.us"), limit=500)
    assert sides == {(True, me, chat), (False, chat, me)}
    own = {row["participant"] for row in group if row["fromMe"]}
    assert own <= OWN
    assert not own & {row["participant"] for row in group if not row["fromMe"]}


@pytest.mark.parametrize("engine", ["webjs", "wpp"])
def test_a_browser_lists_every_chat_that_has_messages(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    session = sessions[engine]
    chats = session.get("/api/default/chats").json()
    total = sum(len(ask(session, _id(chat), limit=10_000)) for chat in chats)
    overview = session.get("/api/default/chats/overview", params={"limit": "3"}).json()
    newsletters = sum("@newsletter" in chat for chat, _ in account.stored())
    assert newsletters
    assert total == len(account.stored()) - (newsletters if engine == "webjs" else 0)
    times = [chat.get("timestamp", chat.get("t")) for chat in chats]
    assert times == sorted(times, reverse=True)
    assert [row["id"] for row in overview] == [_id(chat) for chat in chats[:3]]


def _id(chat: Message) -> str:
    return chat["id"] if isinstance(chat["id"], str) else chat["id"]["_serialized"]


def test_webjs_lists_the_newest_first_whatever_order_is_asked(
    account: Account, webjs: httpx.Client
) -> None:
    chat = largest(account)
    whole = ask(webjs, chat, limit=0)
    assert len(whole) > 100
    times = [row["timestamp"] for row in whole]
    assert times == sorted(times, reverse=True)
    assert ask(webjs, chat, limit=0, sortOrder="asc") == whole
    assert ask(webjs, chat, limit=20, offset=10) == whole[10:30]
    assert len(ask(webjs, chat)) == 10


def test_webjs_walks_to_the_lower_bound_and_not_only_from_the_upper_one(account: Account) -> None:
    chat = largest(account)
    with ReplayServer(account, engine="webjs") as server, client(server) as session:
        whole = ask(session, chat, limit=0)
        newer, older = whole[20]["timestamp"], whole[-20]["timestamp"]
        walked = []
        for query in ({"gte": newer}, {"lte": older}, {"limit": 5}):
            server.stats.reset()
            rows = ask(session, chat, **({"limit": 0} | query))
            assert rows
            walked.append(server.stats.walked)
    assert walked[0] < 40
    assert walked[1] >= len(whole)
    assert walked[2] == 5


def test_webjs_shows_numbers_empty_lists_vcards_and_thumbnails(
    account: Account, webjs: httpx.Client
) -> None:
    chats = webjs.get("/api/default/chats").json()
    rows = [row for chat in chats for row in ask(webjs, _id(chat), limit=0)]
    by_type: dict[str, list[Message]] = {}
    for row in rows:
        if "_data" in row:
            by_type.setdefault(row["_data"]["type"], []).append(row)
    assert all(isinstance(row["vCards"], list) for row in rows)
    assert all(isinstance(row["location"]["latitude"], float) for row in by_type["location"])
    assert all(len(row["body"]) > 100 for row in by_type["location"])
    assert all(row["body"].startswith("BEGIN:VCARD") for row in by_type["vcard"])
    assert {row["body"] for row in by_type["poll_creation"]} == {"Qual dia?"}
    expired = [row for row in by_type["image"] if not row["hasMedia"]]
    assert expired
    assert all("directPath" not in row["_data"] and len(row["body"]) > 100 for row in expired)
    assert all(row["_data"]["directPath"] for row in by_type["image"] if row["hasMedia"])


def test_webjs_notices_are_last_messages_of_a_chat_and_in_no_list(webjs: httpx.Client) -> None:
    chats = webjs.get("/api/default/chats").json()
    notices = [chat for chat in chats if (chat["lastMessage"] or {}).get("type") == "gp2"]
    assert notices
    listed = {row["id"] for row in ask(webjs, _id(notices[0]), limit=0)}
    assert notices[0]["lastMessage"]["id"]["_serialized"] not in listed


def test_webjs_can_write_minified_ids(account: Account) -> None:
    with served(account, "webjs", minified_ids=True) as session:
        chats = session.get("/api/default/chats").json()
        person = session.get("/api/contacts/all", params={"session": "default"}).json()[0]
        row = ask(session, largest(account), limit=1)[0]
    assert all(set(chat["id"]) == {"server", "user", "$1"} for chat in chats)
    assert person["id"]["$1"]
    assert row["_data"]["id"]["$1"] == row["id"]
    assert "_serialized" not in json.dumps(row)


def test_webjs_finds_a_message_by_its_full_id(account: Account, webjs: httpx.Client) -> None:
    group = largest(account, "@g.us")
    row = ask(webjs, group, limit=1)[0]
    path = f"/api/default/chats/{group}/messages/"
    assert webjs.get(path + row["id"]).json() == row
    assert webjs.get(path + row["_data"]["id"]["id"]).status_code == 404
    single = ask(webjs, largest(account), limit=1)[0]
    bare = f"/api/default/chats/{largest(account)}/messages/{single['_data']['id']['id']}"
    assert webjs.get(bare).json() == single


def test_wpp_applies_filters_and_order_to_the_fetched_window_only(
    account: Account, wpp: httpx.Client
) -> None:
    chat = largest(account)
    whole = ask(wpp, chat, limit=10_000)
    old = whole[60]["timestamp"] - 1
    assert ask(wpp, chat, limit=20, lte=old) == []
    window = ask(wpp, chat, limit=20, sortOrder="asc")
    assert {row["id"] for row in window} <= {row["id"] for row in whole[:20]}
    assert window[0]["timestamp"] < window[-1]["timestamp"]
    mine = [row["id"] for row in whole if row["fromMe"]]
    paged = [
        row["id"]
        for offset in range(0, len(whole) + 40, 20)
        for row in ask(wpp, chat, limit=20, offset=offset, **{"filter.fromMe": "true"})
    ]
    assert set(paged) < set(mine)
    assert len(ask(wpp, chat, limit=0)) <= 10


def test_wpp_pages_are_short_where_hidden_rows_lie(account: Account, wpp: httpx.Client) -> None:
    chat = largest(account)
    whole = ask(wpp, chat, limit=10_000)
    assert len(ask(wpp, chat, limit=len(whole))) < len(whole)


def test_wpp_shows_raw_models(account: Account, wpp: httpx.Client) -> None:
    rows = ask(wpp, largest(account), limit=10_000)
    assert {(row["location"], row["vCards"]) for row in rows} == {(None, None)}
    assert {row["ack"] for row in rows if "ack" not in row["_data"]} == {0}
    assert all(row["_data"]["id"] == row["id"] for row in rows)
    chat = wpp.get("/api/default/chats").json()[0]
    assert isinstance(chat["id"], str)
    assert chat["t"] > 1_000_000_000
    person = wpp.get("/api/contacts/all", params={"session": "default", "sortBy": "id"}).json()[0]
    assert isinstance(person["id"], str)


@pytest.mark.parametrize("engine", ["webjs", "wpp"])
def test_groups_are_chats_with_metadata(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    session = sessions[engine]
    groups = session.get("/api/default/groups", params={"sortBy": "id"}).json()
    light = session.get("/api/default/groups", params={"exclude": "participants"}).json()
    assert session.get("/api/default/groups/count").json() == {"count": len(groups)}
    members = groups[0]["groupMetadata"]["participants"]
    assert isinstance(members[0]["id"], str if engine == "wpp" else dict)
    assert "participants" not in light[0]["groupMetadata"]


@pytest.mark.parametrize("engine", OTHERS)
def test_lids_come_in_their_own_order(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    session = sessions[engine]
    lids = [row["lid"] for row in session.get("/api/default/lids").json()]
    assert lids
    assert lids == sorted(lids)


# -- older servers ---------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["noweb", "gows"])
def test_a_server_before_2026_3_1_drops_what_it_does_not_know(
    account: Account, engine: str, sessions: dict[str, httpx.Client]
) -> None:
    chat = largest(account)
    session = sessions[engine]
    newest = ask(session, chat, limit=5)
    merged = len(session.get("/api/default/chats").json())
    with served(account, engine, version="2025.12.2") as session:
        assert ask(session, chat, limit=5, sortOrder="asc") == newest
        assert len(session.get("/api/default/chats").json()) > merged
        assert len(ask(session, "all", limit=50, gte=1, lte=2)) >= 45
        assert ask(session, chat, limit=50, gte=1, lte=2) == []
