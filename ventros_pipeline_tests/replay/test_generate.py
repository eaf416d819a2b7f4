"""What a generated account promises."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.generate import generate, read_truth_rows
from ventros_pipeline.replay.kinds import NASTY
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.replay.conftest import client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("made")
    truth = generate(folder, messages=6000, chats=48, days=200, seed=5, nasty=True, unlisted=2)
    return folder, truth


def texts(folder: Path) -> list[bytes]:
    raw = b"".join(
        gzip.decompress((folder / name).read_bytes())
        for name in ("messages.ndjson.gz", "messages_hidden.ndjson.gz")
    )
    return [line for line in raw.split(b"\n") if line]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate(tmp_path / name, messages=500, chats=12, seed=9, nasty=True)
    generate(tmp_path / "other", messages=500, chats=12, seed=10, nasty=True)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two
    assert len(one) == 11
    assert one["messages.ndjson.gz"] != (tmp_path / "other" / "messages.ndjson.gz").read_bytes()


def test_the_truth_lists_every_stored_message(made: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = made
    rows = list(read_truth_rows(folder))
    assert truth["messages"] == len(rows) == len(texts(folder)) == 6000
    assert len({row.stanza_id for row in rows}) == 6000
    assert Counter(row.kind for row in rows) == truth["by_kind"]
    assert sum(row.from_me for row in rows) == truth["from_me"]
    counts = Counter(row.chat for row in rows)
    assert counts == {chat: known["count"] for chat, known in truth["chats"].items()}


def test_the_lines_stand_as_the_truth_says(made: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = made
    for row, text in zip(read_truth_rows(folder), texts(folder), strict=True):
        line = json.loads(text)
        assert line["chatId"] == row.chat
        assert line["message"]["timestamp"] == row.timestamp
        assert line["message"]["id"].split("_")[2] == row.stanza_id


def test_a_served_account_holds_exactly_the_truth(made: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = made
    with ReplayServer(folder) as server, client(server) as session:
        for chat, known in truth["chats"].items():
            query = {"limit": "-1", "merge": "false", "downloadMedia": "false"}
            served = session.get(f"/api/default/chats/{chat}/messages", params=query).json()
            assert len(served) == known["count"]
        listed = {chat["id"] for chat in session.get("/api/default/chats?merge=false").json()}
        merged = session.get("/api/default/chats").json()
        overview = session.get("/api/default/chats/overview", params={"limit": "-1"}).json()
    unlisted = {chat for chat, known in truth["chats"].items() if known["sort"] == "unlisted"}
    assert listed == set(truth["chats"]) - unlisted
    both = [person for person in truth["people"] if person["way"] == "phone and mapped lid"]
    assert len(merged) == len(listed) - len(both)
    assert all(row["lastMessage"] for row in overview)


def test_every_sort_of_person_and_kind_occurs(made: tuple[Path, dict[str, Any]]) -> None:
    _, truth = made
    assert len({person["way"] for person in truth["people"]}) == 7
    assert {"text", "image", "voice", "document", "poll", "location", "unknown"} <= set(
        truth["by_kind"]
    )
    assert truth["nasty"] == dict.fromkeys(NASTY, 1)
    assert truth["dropped"] > 0
    sorts = {known["sort"] for known in truth["chats"].values()}
    assert sorts == {"person", "group", "status", "broadcast", "newsletter", "unlisted"}
    assert any(known["bursts"] for known in truth["chats"].values())


def test_no_number_of_an_unmapped_person_is_written(made: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = made
    lids = {pair["lid"] for pair in json.loads((folder / "lids.json").read_text())}
    unmapped = [person for person in truth["people"] if person["way"] == "unmapped lid only"]
    assert unmapped
    assert not lids & {address for person in unmapped for address in person["addresses"]}
    alt = [person for person in truth["people"] if person["way"].startswith("lid whose number")]
    everything = b"\n".join(texts(folder)).decode()
    assert all(address in everything for person in alt for address in person["addresses"])


def test_the_odd_rows_are_what_they_are_called(made: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = made
    lines = texts(folder)
    odd = {row.nasty: lines[at] for at, row in enumerate(read_truth_rows(folder)) if row.nasty}
    assert rb"\u0000" in odd["nul_character"]
    assert rb"\ud83d" in odd["lone_surrogate"]
    assert len(odd["long_body"]) > 70_000
    assert b'"_data"' not in odd["no_data"]
    assert b'"timestamp":null' in odd["timestamp_null"]
    assert b'"timestamp":"1770000000"' in odd["timestamp_string"]
    assert b"hologramMessage" in odd["unknown_key"]


def test_own_messages_of_lid_groups_may_claim_to_be_somebody_elses(
    made: tuple[Path, dict[str, Any]],
) -> None:
    folder, truth = made
    own_lid = truth["me"][1]
    claims = [
        (row.from_me, json.loads(text)["message"])
        for row, text in zip(read_truth_rows(folder), texts(folder), strict=True)
        if row.from_me and row.chat.endswith("@g.us")
    ]
    wrong = [message for true, message in claims if true is not message["fromMe"]]
    assert wrong
    assert {message["participant"] for message in wrong} == {own_lid}


@pytest.mark.parametrize(
    "asked", [{"messages": 3}, {"messages": 9, "nasty": True}, {"messages": 99, "days": 20_000}]
)
def test_what_cannot_be_generated_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needed|digits"):
        generate(tmp_path, chats=5, **asked)


def test_an_account_of_one_message_can_be_served(tmp_path: Path) -> None:
    generate(tmp_path, messages=1, chats=1)
    account = Account.load(tmp_path)
    assert len(account.truth()) == 1
    account.close()
