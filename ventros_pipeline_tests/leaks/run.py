"""A full run of everything, against a server that repeats what it was asked in its errors.

What belongs here: the run, and all that it leaves. What does not: a judgement of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from ventros_pipeline.crm import access
from ventros_pipeline.crm.database import libpq_url, normalise_url
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.events import signature_of
from ventros_pipeline_tests.import_.world import at, message, write_account
from ventros_pipeline_tests.leaks.commands import END
from ventros_pipeline_tests.leaks.needles import ANA, account, marked
from ventros_pipeline_tests.leaks.places import watched_processes
from ventros_pipeline_tests.served import VENTROS

DAYS = ("--since", "2026-06-01", "--until", "2026-06-04")
OWNER = """
    INSERT INTO users (id, name, email, password_hash)
    VALUES ('00000000-0000-0000-0000-0000000000aa', 'owner', 'owner@example.com', '!');
    INSERT INTO user_api_keys (user_id, name, key_hash)
    VALUES ('00000000-0000-0000-0000-0000000000aa', 'owner', %s);
    UPDATE projects SET user_id = '00000000-0000-0000-0000-0000000000aa';
    UPDATE channels SET status = 'active';
"""


@dataclass(frozen=True)
class Keys:
    """All that opens a door; each is marked."""

    waha: str = field(default_factory=lambda: marked("k", "-of-waha"))
    database: str = field(default_factory=lambda: marked("k", "-of-the-database"))
    webhook: str = field(default_factory=lambda: marked("k", "-of-the-webhook"))
    metrics: str = field(default_factory=lambda: marked("k", "-of-the-metrics"))
    user: str = field(default_factory=lambda: marked("k", "-of-a-user"))
    # 32 bytes in base64.
    quarantine: str = field(default_factory=lambda: marked("k", "A" * 32) + "=")
    alert: str = field(default_factory=lambda: marked("k", "-of-the-alerts"))
    store: str = field(default_factory=lambda: marked("k", "-of-the-object-store"))

    def __iter__(self) -> Iterator[str]:
        yield from vars(self).values()


@dataclass
class Left:
    """What the run left, and where.

    Attributes:
        printed: what was shown, by where: standard output and error, answers over HTTP, a report.
        codes: how each command ended.
        commands: the command lines of all processes.
    """

    keys: Keys
    folder: Path
    crm: str
    dagster: str
    printed: dict[str, str] = field(default_factory=dict)
    codes: list[tuple[str, int]] = field(default_factory=list)
    commands: set[str] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "home"


def full_run(folder: Path, crm: str, dagster: str) -> Left:
    """Run everything once.

    Args:
        crm: libpq URL of an empty database; the password is put in here.
        dagster: the same, of one with Dagster's tables or none.
    """
    keys = Keys()
    left = Left(keys, folder, crm, dagster)
    rows, others = account()
    environment = os.environ | {
        "VENTROS_HOME": str(left.home),
        "VENTROS_DATABASE_URL": with_password(crm, keys.database),
        "VENTROS_DAGSTER_DATABASE_URL": with_password(dagster, keys.database),
        "VENTROS_HISTORY_START": "2026-06-01",
        "VENTROS_REQUEST_ATTEMPTS": "2",
        "VENTROS_WEBHOOK_HMAC_KEY": keys.webhook,
        "VENTROS_METRICS_TOKEN": keys.metrics,
        "VENTROS_QUARANTINE_KEY": keys.quarantine,
        "VENTROS_ALERT_URL": f"https://hooks.slack.com/services/{keys.alert}",
        "AWS_SECRET_ACCESS_KEY": keys.store,
        "VENTROS_LOG_FORMAT": "json",
        "VENTROS_LOG_LEVEL": "DEBUG",
        "WAHA_KEY": keys.waha,
        "DAGSTER_HOME": "",
    }
    server = ReplayServer(write_account(folder / "account", rows, **others), api_key=keys.waha)
    server.control.wait_scale = 0
    with server, watched_processes() as watched:
        with commands(left, environment) as run:
            _import_everything(left, server, run)
        _serve(left, environment)
        left.commands = set(watched.seen)
    return left


Run = Callable[..., Any]


def _import_everything(left: Left, server: ReplayServer, run: Run) -> None:
    added = run("channel", "add", "--session", "default", "--url", server.url, *_CHANNEL)
    channel = added["channel"]
    server.control.fault = echoing(left.keys.waha, every=6)
    first = run("import", channel, *DAYS, "--json")
    later = message(ANA, "3EB00109", at("2026-06-01 09:00"), marked("b"), push_name=marked("n"))
    server.account.put_message(ANA, later)
    run("import", channel, *DAYS, "--force")
    for words in (
        ("channel", "list"),
        ("status", channel),
        ("coverage", channel),
        ("report", channel),
        ("report", channel, "--html", str(left.folder / "report.html")),
        ("quarantine", "list", channel, "--rows"),
        ("people", "merges", channel),
        ("enrich", channel),
        ("sync", channel),
        ("undo", first["run_id"], "--dry-run"),
    ):
        run(*words)
    run({"media": channel})
    # From here on nothing is answered: what a command says when it fails, and what it leaves.
    for fault in refusals(left.keys.waha):
        server.control.fault = echoing(left.keys.waha, fault=fault)
        run("doctor", channel)
        if fault.status in (401, 500):
            # The run begins, so that its failure stands in Dagster's log of events.
            server.control.fault = echoing(left.keys.waha, fault=fault, only="/messages")
            run("import", channel, *DAYS)
    server.control.fault = None
    run("import", "no-such-channel")
    left.printed["report.html"] = (left.folder / "report.html").read_text("utf-8")


_CHANNEL = ("--api-key-env", "WAHA_KEY", "--agent", "Histórico", "--allow-groups", "--json")


def _serve(left: Left, environment: dict[str, str]) -> None:
    """Ask the API what it can be asked, rightly and wrongly."""
    with psycopg.connect(left.crm, autocommit=True) as session:
        session.execute(OWNER.replace("%s", f"'{access.hash_of(left.keys.user)}'").encode())
        found = session.execute("SELECT id FROM channels").fetchone()
    assert found is not None
    errors = (left.folder / "serve.err").open("wb")
    with (
        errors,
        subprocess.Popen(
            [str(VENTROS), "serve", "--port", "0", "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=left.folder,
        ) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        with httpx.Client(base_url=json.loads(said)["url"], timeout=60) as client:
            left.printed |= dict(_asked(client, left.keys, str(found[0])))
        process.terminate()
        left.printed["serve"] = said + process.stdout.read().decode()
    left.printed["serve's errors"] = (left.folder / "serve.err").read_text()


def _asked(client: httpx.Client, keys: Keys, channel: str) -> Iterator[tuple[str, str]]:
    place = f"/api/v1/crm/channels/{channel}"
    ours, wrong = ({"Authorization": f"Bearer {key}"} for key in (keys.user, f"{keys.user}x"))
    metrics = {"Authorization": f"Bearer {keys.metrics}"}
    events = f"/api/v1/waha/channels/{channel}/events"
    answers = {
        "status": (200, client.get(f"{place}/import-status", headers=ours)),
        "start": (202, client.post(f"{place}/import-history", headers=ours)),
        "cancel": (202, client.post(f"{place}/cancel", headers=ours)),
        "a wrong key": (401, client.get(f"{place}/import-status", headers=wrong)),
        "a key in the address": (401, client.get(f"{place}/import-status?key={keys.user}")),
        "metrics": (200, client.get("/metrics", headers=metrics)),
        "a webhook": (202, _posted(client, events, keys.webhook)),
        "a forged webhook": (401, _posted(client, events, f"{keys.webhook}x")),
    }
    for name, (status, answer) in answers.items():
        assert answer.status_code == status, (name, answer.text)
        yield name, f"{answer.headers}\n{answer.text}"


def _posted(client: httpx.Client, place: str, key: str) -> httpx.Response:
    now = int(time.time() * 1000)
    row = message(ANA, "3EB0BBBB", now // 1000, marked("b"), push_name=marked("n"))
    event = {
        "id": f"evt_{now}",
        "timestamp": now,
        "event": "message.any",
        "session": "default",
        "payload": row,
    }
    body = json.dumps(event).encode()
    headers = {
        "content-type": "application/json",
        "x-webhook-timestamp": str(now),
        "x-webhook-hmac": signature_of(key, body),
        "x-webhook-hmac-algorithm": "sha512",
    }
    return client.post(place, content=body, headers=headers)


@contextmanager
def commands(left: Left, environment: dict[str, str]) -> Iterator[Run]:
    """Give a function that runs a command and returns what it printed, as JSON where it is that."""
    errors = left.folder / "commands.err"
    arguments = [sys.executable, "-m", "ventros_pipeline_tests.leaks.commands"]
    root = str(Path(__file__).parents[2])
    with (
        errors.open("wb") as err,
        subprocess.Popen(
            arguments,
            env=environment | {"PYTHONPATH": root},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=err,
            cwd=left.folder,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def run(*words: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            line = words[0] if isinstance(words[0], dict) else words
            process.stdin.write(json.dumps(line).encode() + b"\n")
            process.stdin.flush()
            said = []
            while not (got := process.stdout.readline().decode()).startswith(END):
                assert got, errors.read_text()
                said.append(got)
            name = f"{len(left.codes)} {json.dumps(line)}"
            left.codes.append((name, int(got.removeprefix(END))))
            left.printed[name] = "".join(said)
            return json.loads(said[-1]) if said and said[-1].startswith("{") else None

        yield run
        process.stdin.close()
        process.wait(60)
    left.printed["errors of commands"] = errors.read_text()


# -- a server that repeats everything --------------------------------------------------------------


def echoing(
    key: str, *, every: int = 1, fault: Fault | None = None, only: str = ""
) -> Callable[[Request], Fault | None]:
    """Return a hook that spoils answers with ones that hold what was asked, a key among it.

    Args:
        every: only each so-manyeth request, so that a patient client gets through.
        fault: what all of them are; a 500 as WAHA writes it if omitted.
        only: a part of the endpoint; others are answered.
    """

    def hook(request: Request) -> Fault | None:
        if request.number % every or request.path == "/ping" or only not in request.template:
            return None
        return fault or Fault(500, echo(key, request.path), {"x-echo": key})

    return hook


def echo(key: str, path: str = "/") -> bytes:
    """Return the body of WAHA's 500: the error, its stack, and the request with its headers."""
    said = {
        "statusCode": 500,
        "exception": {
            "message": f"SELECT {marked('b')} FROM 5511987654001@c.us",
            "stack": f"Error: {marked('m')}\n at {key}\n 2026-06-01 ERROR forged line",
        },
        "request": {"path": path, "headers": {"x-api-key": key}, "from": marked("n")},
    }
    return json.dumps(said).encode()


def refusals(key: str) -> list[Fault]:
    """Return an answer of each class of error, all with everything in them."""
    body = echo(key)
    own = {"content-type": "application/json", "retry-after": key, "x-echo": key}
    not_working = json.dumps({"expected": ["WORKING"], "status": f"FAILED {key}"}).encode()
    return [
        Fault(500, body, own),
        Fault(401, body, own),
        Fault(422, not_working, own),
        Fault(200, b"<html>" + body, own),
        Fault(200, b'"%s' % body, own),
        Fault(302, body, {"location": f"https://{key}.example.com/5511987654001"}),
    ]


def with_password(url: str, password: str) -> str:
    """Return a libpq URL with a password; the server of the tests trusts everybody."""
    return libpq_url(normalise_url(url).set(password=password))
