"""What a test can do to a running replay server, seen from the client's side of the socket."""

import gzip
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from ventros_pipeline.replay.account import Account, AccountError
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.server import ReplayServer, create_app
from ventros_pipeline_tests.import_.world import write_account
from ventros_pipeline_tests.replay.conftest import ACCOUNT_A, KEY, client

CHAT = "5511914797166@c.us"
MESSAGES = f"/api/default/chats/{CHAT}/messages"
QUERY = {"limit": "5", "downloadMedia": "false", "merge": "false"}


def newest(session: httpx.Client, **query: str) -> list[dict[str, Any]]:
    return session.get(MESSAGES, params=QUERY | query).json()


def fresh(stanza_id: str, timestamp: int, body: str = "oi") -> dict[str, Any]:
    jid = CHAT.replace("@c.us", "@s.whatsapp.net")
    return {
        "id": f"false_{CHAT}_{stanza_id}",
        "timestamp": timestamp,
        "from": CHAT,
        "fromMe": False,
        "body": body,
        "_data": {
            "key": {"remoteJid": jid, "fromMe": False, "id": stanza_id},
            "message": {"conversation": body},
            "messageTimestamp": timestamp,
        },
    }


@pytest.mark.parametrize("status", ["STOPPED", "STARTING", "SCAN_QR_CODE", "FAILED"])
def test_a_session_that_does_not_work_is_a_422_that_names_its_status(
    server_a: ReplayServer, status: str
) -> None:
    server_a.control.status = status
    with client(server_a) as session:
        response = session.get(MESSAGES)
    assert response.status_code == 422
    assert response.json()["status"] == status
    assert response.json()["expected"] == ["WORKING"]


def test_a_read_is_held_until_the_session_works_again(account_a: Account) -> None:
    with ReplayServer(account_a, api_key=KEY, wait_scale=1.0) as server:
        server.control.status = "STARTING"
        asked = threading.Event()

        def wake(request: Request) -> None:
            asked.set()

        def recover() -> None:
            asked.wait(10)
            server.control.status = "WORKING"

        server.control.fault = wake
        helper = threading.Thread(target=recover)
        helper.start()
        with client(server) as session:
            assert len(newest(session)) == 5
        helper.join()


def test_a_disabled_store_is_a_400_everywhere_but_for_groups(server_a: ReplayServer) -> None:
    server_a.control.store_enabled = False
    with client(server_a) as session:
        for path in (
            MESSAGES,
            "/api/default/chats",
            "/api/default/lids",
            "/api/default/lids/count",
        ):
            response = session.get(path)
            assert response.status_code == 400
            assert "Enable NOWEB store" in response.json()["message"]
        assert session.get("/api/default/groups").status_code == 200


def test_a_changed_key_locks_every_client_out(server_a: ReplayServer) -> None:
    with client(server_a) as session:
        server_a.control.api_key = "another"
        response = session.get("/api/sessions")
        assert response.status_code == 401
        assert response.json() == {"message": "Unauthorized", "statusCode": 401}
        assert session.get("/ping").json() == {"message": "pong"}


def test_an_unknown_session_is_told_apart_by_the_server_version(own_server_a: ReplayServer) -> None:
    own_server_a.account.version["version"] = "2026.7.1"
    with client(own_server_a) as session:
        data = session.get("/api/other/chats")
        assert (data.status_code, data.json()["session"]) == (422, "other")
        assert session.get("/api/sessions/other").status_code == 404


def test_a_message_put_in_is_served_and_moves_its_chat_up(own_server_a: ReplayServer) -> None:
    own_server_a.account.put_message(CHAT, fresh("3EB0LIVE", 1_790_100_000))
    with client(own_server_a) as session:
        assert newest(session)[0]["_data"]["key"]["id"] == "3EB0LIVE"
        for merge in ("true", "false"):
            chats = session.get("/api/default/chats", params={"merge": merge}).json()
            assert chats[0]["id"] == CHAT.replace("@c.us", "@s.whatsapp.net")
        overview = session.get("/api/default/chats/overview", params={"limit": "1"}).json()
        assert overview[0]["lastMessage"]["id"].endswith("3EB0LIVE")


def test_a_known_stanza_id_is_overwritten_and_not_doubled(own_server_a: ReplayServer) -> None:
    account = own_server_a.account
    with client(own_server_a) as session:
        before = newest(session, limit="-1")
        target = before[3]
        edited = target | {"body": "corrigido", "timestamp": 1_790_100_000}
        edited["_data"] = target["_data"] | {"messageTimestamp": 1_790_100_000}
        account.put_message(CHAT, edited)
        after = newest(session, limit="-1")
    assert len(after) == len(before)
    assert after[0]["body"] == "corrigido"


def test_a_revoked_message_disappears_and_shifts_the_offsets(own_server_a: ReplayServer) -> None:
    with client(own_server_a) as session:
        first, second = newest(session, limit="5"), newest(session, limit="5", offset="5")
        assert own_server_a.account.revoke(first[0]["_data"]["key"]["id"])
        assert (
            newest(session, limit="5", offset="5")
            == [*second[1:], *newest(session, offset="9")][:5]
        )
        assert session.get(f"{MESSAGES}/{first[0]['_data']['key']['id']}").status_code == 404
    assert not own_server_a.account.revoke("NOPE")


def test_a_mapping_that_appears_joins_two_chats(own_server_a: ReplayServer) -> None:
    lid = "206763581949725@lid"
    with client(own_server_a) as session:
        before = len(session.get("/api/default/chats").json())
        own_server_a.account.map_lid(lid, CHAT)
        assert len(session.get("/api/default/chats").json()) == before - 1
        assert session.get(f"/api/default/lids/{lid}").json()["pn"] == CHAT
        merged = newest(session, limit="-1", merge="true")
    assert {lid, CHAT} == {message["from"] for message in merged}


def test_the_truth_is_what_a_complete_reader_must_have(own_server_a: ReplayServer) -> None:
    assert len(own_server_a.account.truth()) == 8985
    own_server_a.account.put_message("999@lid", fresh("3EB0NEW", 1_790_100_000))
    assert len(own_server_a.account.truth()) == 8986


def once(fault: Fault) -> Any:
    """Spoil the first request only."""
    return lambda request: fault if request.number == 1 else None


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_injected_error_spoils_one_answer(server_a: ReplayServer, status: int) -> None:
    server_a.control.fault = once(Fault.error(status))
    with client(server_a) as session:
        assert session.get(MESSAGES).status_code == status
        assert session.get(MESSAGES).status_code == 200


def test_an_injected_429_says_when_to_come_back(server_a: ReplayServer) -> None:
    server_a.control.fault = once(Fault.too_many(retry_after=7))
    with client(server_a) as session:
        response = session.get(MESSAGES)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


def test_an_injected_page_of_html_comes_with_status_200(server_a: ReplayServer) -> None:
    server_a.control.fault = once(Fault.html())
    with client(server_a) as session:
        response = session.get(MESSAGES)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html"


def test_a_truncated_body_breaks_the_promised_length(server_a: ReplayServer) -> None:
    server_a.control.fault = once(Fault.truncated(0.5))
    with client(server_a) as session:
        with pytest.raises(httpx.RemoteProtocolError):
            session.get(MESSAGES)
        assert session.get(MESSAGES).status_code == 200


def test_a_reset_connection_is_a_read_error(server_a: ReplayServer) -> None:
    server_a.control.fault = once(Fault.dropped())
    with client(server_a) as session:
        with pytest.raises(httpx.ReadError):
            session.get(MESSAGES)
        assert session.get(MESSAGES).status_code == 200


def test_a_slow_answer_is_still_the_true_one(server_a: ReplayServer) -> None:
    server_a.control.fault = once(Fault.slow(0.01))
    with client(server_a) as session:
        assert newest(session) == newest(session)


def test_serve_says_where_it_listens_and_stops_when_interrupted() -> None:
    program = (
        "from ventros_pipeline.replay.server import serve;"
        "import sys; serve(sys.argv[1], port=0, ready=lambda url: print(url, flush=True))"
    )
    command = [sys.executable, "-c", program, str(ACCOUNT_A)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert httpx.get(f"{url}/ping").json() == {"message": "pong"}
        server.send_signal(signal.SIGINT)
        server.wait(10)


def test_a_port_in_use_is_an_error(server_a: ReplayServer) -> None:
    port = int(server_a.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        ReplayServer(server_a.account, port=port).start()


def test_the_statistics_count_requests_by_endpoint_template(server_a: ReplayServer) -> None:
    with client(server_a) as session:
        size = len(session.get(MESSAGES).content)
        session.get("/api/default/nothing")
        session.get("/api/default/chats")
    stats = server_a.stats
    assert stats.requests["GET /api/{session}/chats/{chat_id}/messages"] == 1
    assert stats.requests["GET (unknown)"] == 1
    assert stats.statuses == {200: 2, 404: 1}
    assert stats.bytes > size
    assert stats.as_dict()["total"] == 3
    assert stats.in_flight == 0
    assert stats.log[0].path == MESSAGES
    stats.reset()
    assert stats.total == 0


def test_the_statistics_see_requests_that_overlap(server_a: ReplayServer) -> None:
    server_a.control.status = "STARTING"
    server_a.control.wait_scale = 1.0

    def wake(request: Request) -> None:
        if request.number == 3:
            server_a.control.status = "WORKING"

    server_a.control.fault = wake
    with client(server_a) as session:
        threads = [threading.Thread(target=session.get, args=(MESSAGES,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server_a.stats.max_in_flight == 3


def test_an_unchanged_answer_is_a_304(server_a: ReplayServer) -> None:
    with client(server_a) as session:
        tag = session.get("/api/default/chats").headers["etag"]
        again = session.get("/api/default/chats", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_groups_can_be_listed_without_their_participants(server_a: ReplayServer) -> None:
    with client(server_a) as session:
        full = session.get("/api/default/groups").json()
        light = session.get("/api/default/groups", params={"exclude": "participants"}).json()
    assert set(full) == set(light)
    assert not any("participants" in group for group in light.values())


def test_a_csv_of_overview_ids_is_read_as_one_id(server_a: ReplayServer) -> None:
    with client(server_a) as session:
        listed = f"{CHAT},5511938920271@c.us"
        rows = session.get("/api/default/chats/overview", params={"ids": listed}).json()
    assert [row["id"] for row in rows] == [CHAT]


def test_an_unknown_engine_is_refused_with_the_known_ones(account_a: Account) -> None:
    with pytest.raises(ValueError, match="one of noweb, gows, webjs, wpp"):
        create_app(account_a, engine="baileys")


def test_a_scripted_session_falls_asleep_and_wakes_up_at_given_requests(
    account_a: Account,
) -> None:
    with ReplayServer(account_a, script=[(2, "STARTING"), (4, "WORKING")]) as server:
        with client(server) as session:
            statuses = [session.get(MESSAGES).status_code for _ in range(4)]
        assert server.control.status == "WORKING"
    assert statuses == [200, 422, 422, 200]


def test_the_statistics_tell_each_endpoint_and_the_highest_rate(server_a: ReplayServer) -> None:
    with client(server_a) as session:
        for _ in range(3):
            session.get(MESSAGES)
        session.get("/api/other/chats")
    figures = server_a.stats.as_dict()
    messages = figures["endpoints"]["GET /api/{session}/chats/{chat_id}/messages"]
    assert (messages["requests"], messages["failed"], messages["max_in_flight"]) == (3, 0, 1)
    assert messages["bytes"] > 1000
    assert figures["endpoints"]["GET /api/{session}/chats"]["failed"] == 1
    assert figures["max_per_second"] == 4


def test_a_folder_without_messages_is_refused(tmp_path: Any) -> None:
    with pytest.raises(AccountError, match="not an account folder"):
        Account.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no gzip", "cannot be read"), (None, r"messages.ndjson.gz, line 2")],
)
def test_a_broken_message_file_is_named_with_its_line(
    tmp_path: Any, content: bytes | None, said: str
) -> None:
    good = b'{"chatId":"1@lid","message":{"id":"false_1@lid_A"}}\n'
    packed = gzip.compress(good + b'{"chatId":"1@lid","message":{"id":\n')
    (tmp_path / "messages.ndjson.gz").write_bytes(packed if content is None else content)
    with pytest.raises(AccountError, match=said):
        Account.load(tmp_path)


def test_an_account_of_messages_alone_is_served(tmp_path: Any) -> None:
    packed = (ACCOUNT_A / "messages.ndjson.gz").read_bytes()
    (tmp_path / "messages.ndjson.gz").write_bytes(packed)
    with ReplayServer(tmp_path) as server, client(server) as session:
        assert session.get("/api/default/chats").json() == []
        assert session.get("/api/sessions/default").json()["status"] == "WORKING"
        assert len(newest(session)) == 5


def test_a_server_can_have_several_sessions_each_an_account_of_its_own(tmp_path: Path) -> None:
    chat = CHAT.replace("@c.us", "@s.whatsapp.net")
    folder = write_account(tmp_path, [(chat, fresh("SHOP", 1_780_000_000))])
    (folder / "session.json").write_text(json.dumps({"name": "shop", "status": "WORKING"}))
    shop = Account.load(folder)
    with (
        ReplayServer(ACCOUNT_A, api_key=KEY, others=[shop]) as server,
        client(server) as session,
    ):
        assert [known["name"] for known in session.get("/api/sessions").json()] == [
            "default",
            "shop",
        ]
        [row] = session.get("/api/shop/chats/all/messages").json()
        assert row["id"].endswith("SHOP")
        assert len(session.get("/api/default/chats/all/messages").json()) == 10
        assert session.get("/api/contacts/all", params={"session": "shop"}).json() == []
        assert session.get("/api/nobody/chats/all/messages").status_code == 422
    shop.close()
