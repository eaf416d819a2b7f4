"""The rows of the table: each measures one or more lines, and can be run alone.

What belongs here: what is held against what. What does not: the targets (`targets.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from benchmarks.speed.figures import Line, Spread, growth, ratios, shares, shown
from benchmarks.speed.loads import (
    Written,
    changed_copy,
    copy_directly,
    emptied,
    export,
    indexes,
    settle,
    written,
)
from benchmarks.speed.places import Account, Bench, Channel, run_child, say
from benchmarks.speed.serving import KEY, WAHA_PACE, Served, served
from benchmarks.speed.targets import ENGINES, LATENCIES

# The formula of the WEBJS target.
SLACK, GRACE = 1.3, 10.0
LOCK = Path(__file__).parents[1] / "requirements.lock"


def reference(bench: Bench) -> Iterator[Line]:
    """Import the reference set as the product does by default: its own courtesy."""
    account = bench.reference()
    size = "1,172 chats, 5,683 messages"
    took: dict[str, list[float]] = {"dagster": [], "whole": []}
    asked: dict[str, Any] = {}
    with served(account.folder, latency_ms=50) as server:
        for _ in range(bench.repeats):
            for task, times in took.items():
                database = bench.copied()
                server.stats()
                done = bench.child(
                    task, bench.channel(database, server.url), account, courteous=True
                )
                asked = server.stats()
                times.append(done["seconds"])
                bench.details[f"reference set, {task}"] = _where(done)
                bench.drop(database)
    requests = f"{asked['requests']} requests, courtesy as by default"
    yield Line("reference.dagster", Spread.of(took["dagster"]), size, requests)
    yield Line("reference.importer", Spread.of(took["whole"]), size, requests)


def daemon(bench: Bench) -> Iterator[Line]:
    """Let the daemon do what was requested: one run, and a plan; only in the full form."""
    if bench.short:
        yield Line("daemon.whole", None, "only in the full form")
        yield Line("daemon.plan", None, "only in the full form")
        return
    from benchmarks.speed.daemon import carry_out_plan, launch_run

    account = bench.reference()
    took: dict[str, list[float]] = {"whole": [], "plan": []}
    with served(account.folder, latency_ms=50) as server:
        for _ in range(bench.repeats):
            for name, do in (("whole", launch_run), ("plan", carry_out_plan)):
                database = bench.copied()
                took[name].append(do(bench, bench.channel(database, server.url), account))
                bench.drop(database)
    for name, times in took.items():
        yield Line(f"daemon.{name}", Spread.of(times), "1,172 chats, 5,683 messages")


def webjs(bench: Bench) -> Iterator[Line]:
    """Import the reference set chat by chat, with as many requests at once as are allowed."""
    part = 8 if bench.short else 1
    account = bench.reference(part)
    latency = 0.3
    with served(account.folder, engine="webjs", latency_ms=latency * 1000) as server:
        database = bench.copied()
        server.stats()
        done = bench.child("whole", bench.channel(database, server.url), account)
        asked = server.stats()
        bench.drop(database)
    bench.details["reference set, WEBJS"] = _where(done)
    allowed = asked["requests"] * latency / bench.concurrency * SLACK + GRACE
    yield Line(
        "webjs.importer",
        ratios([done["seconds"]], [allowed]),
        f"{1172 // part:,} chats, {account.messages:,} messages",
        f"{shown(done['seconds'], 's')} ÷ {shown(allowed, 's')}; {asked['requests']} requests, "
        f"{asked['in_flight']} of {bench.concurrency} allowed at once",
    )


def latency(bench: Bench) -> Iterator[Line]:
    """Import the reference set from near and from far, by windows and chat by chat."""
    part = 8 if bench.short else 1
    account = bench.reference(part)
    size = f"{1172 // part:,} chats, {account.messages:,} messages"
    for engine in ENGINES:
        for wait in LATENCIES:
            with served(account.folder, engine=engine, latency_ms=wait) as server:
                done = _whole(bench, account, server)
                asked = server.stats()
            least = asked["requests"] * wait / 1000 / bench.concurrency
            yield Line(
                f"latency.{engine}.{wait}",
                Spread.of([done["seconds"]]),
                size,
                f"{asked['requests']} requests, {asked['in_flight']} of {bench.concurrency} at "
                f"once, which alone take {shown(least, 's')}; CPU of ours "
                f"{shown(done['cpu'], 's')}, of the server {shown(asked['cpu'], 's')}",
            )


def bare(bench: Bench) -> Iterator[Line]:
    """Import through Dagster, then ask for the same pages with nothing behind it, in turn.

    "As fast as the source allows": the source is paced as a real WAHA gives messages. The replay
    server alone gives over a hundred thousand a second, which says nothing of any import; what is
    left of that pair is one line for information.
    """
    urls = bench.work / "urls.json"
    for name, pace, messages, pairs in (
        ("whole", WAHA_PACE, bench.big, bench.repeats),
        ("unpaced", 0, bench.small, 1),
    ):
        account = bench.account(messages)
        ours: list[float] = []
        theirs: list[float] = []
        cpu: dict[str, float] = {}
        done: dict[str, Any] = {}
        with served(account.folder, pace=pace) as server:
            for _ in range(pairs):
                database = bench.copied()
                channel = bench.channel(database, server.url)
                server.stats()
                done = bench.child("dagster", channel, account, urls=str(urls))
                cpu["server"] = server.stats()["cpu"]
                ours.append(done["seconds"])
                bench.drop(database)
                asked = bench.child("bare", channel, account, urls=str(urls))
                server.stats()
                theirs.append(asked["seconds"])
                say(f"import {ours[-1]:.1f} s, bare {theirs[-1]:.1f} s")
        bench.details[f"whole import of {messages:,} through Dagster, {name}"] = _where(done)
        given = messages / Spread.of(theirs).middle
        yield Line(
            f"bare.{name}",
            ratios(ours, theirs),
            f"{messages:,}",
            f"{Spread.of(ours).text('s')} ÷ {Spread.of(theirs).text('s')}; bare "
            f"{shown(given)} messages a second; {asked['requests']} requests, "
            f"{bench.concurrency} at once; CPU of ours {shown(done['cpu'], 's')}, of the server "
            f"{shown(cpu['server'], 's')}; peak {shown(done['peak_mb'], 'MB')}",
        )


def load(bench: Bench) -> Iterator[Line]:
    """Load, copy directly, load again, load with 1 % changed: all from one archive, in turn."""
    archived = bench.archived(bench.big)
    account, channel = archived.account, archived.channel
    altered, rows_changed = changed_copy(bench, channel, account)
    rows, empty = bench.work / "rows", ""
    first: list[float] = []
    direct: list[float] = []
    everything: list[float] = []
    again: list[float] = []
    changed: list[float] = []
    stored, indexed, wrote, counts = 0, 0, Written(0, 0, 0), {}
    for _ in range(bench.repeats):
        database = bench.copied(channel.database)
        into = replace(channel, database=database)
        done = bench.child("load", into, account)
        bench.details[f"load of {bench.big:,}"] = _where(done)
        first.append(done["seconds"])
        if not empty:
            stored = export(bench, database, rows)
            empty = emptied(bench, database)
            with bench.session(database) as session:
                indexed = indexes(session)
        target = bench.copied(empty)
        copied = copy_directly(bench, target, rows)
        direct.append(copied["public.messages"])
        everything.append(sum(copied.values()))
        bench.drop(target)
        settle(bench, database)
        before = written(bench, database)
        done = bench.child("load", into, account, later=1)
        after = written(bench, database)
        wrote = after.since(before)
        again.append(done["seconds"])
        bench.details[f"re-import of {bench.big:,} unchanged"] = _where(done)
        counts = done["counts"]
        done = bench.child("load", replace(altered, database=database), account, later=2)
        changed.append(done["seconds"])
        bench.details[f"1 % changed of {bench.big:,}"] = _where(done)
        risen = done["counts"].get("updated", 0)
        bench.drop(database)
        say(f"load {first[-1]:.1f}, copy {direct[-1]:.1f}, again {again[-1]:.1f} s")
    bench.drop(empty)
    shutil.rmtree(rows)
    few = _copied_directly(bench, bench.imported(bench.small).loaded.database)
    size = f"{bench.big:,}"
    yield Line(
        "load.copy",
        ratios(first, direct),
        size,
        f"{Spread.of(first).text('s')} ÷ {Spread.of(direct).text('s')}; {stored:,} rows, "
        f"{indexed} indexes",
    )
    yield Line(
        "load.floor",
        ratios(everything, direct),
        size,
        f"{Spread.of(everything).text('s')} ÷ {Spread.of(direct).text('s')}; of the last: "
        + ", ".join(f"{table} {shown(seconds, 's')}" for table, seconds in copied.items()),
    )
    grown = growth({bench.small: few, bench.big: Spread.of(everything).middle})
    yield Line("load.growth", Spread.of([grown]), size, f"{shown(few, 's')} at {bench.small:,}")
    unchanged = f"{counts.get('unchanged', 0):,} of {counts.get('seen', 0):,} unchanged"
    yield Line(
        "load.again",
        ratios(again, first),
        size,
        f"{Spread.of(again).text('s')} ÷ {Spread.of(first).text('s')}; {unchanged}",
    )
    yield Line("load.versions", Spread.of([wrote.versions]), size, "messages and message_keys")
    yield Line(
        "load.wal",
        Spread.of([wrote.wal / stored]),
        size,
        f"{wrote.wal:,} bytes, {wrote.pages:,} whole pages",
    )
    yield Line(
        "load.changed",
        ratios(changed, first),
        size,
        f"{Spread.of(changed).text('s')} ÷ {Spread.of(first).text('s')}; {risen:,} rows updated "
        f"of {rows_changed:,} changed",
    )


def _copied_directly(bench: Bench, database: str) -> float:
    """Return the seconds in which all that a load wrote is copied into tables without it."""
    rows = bench.work / "rows"
    export(bench, database, rows)
    target = emptied(bench, database)
    took = sum(copy_directly(bench, target, rows).values())
    bench.drop(target)
    shutil.rmtree(rows)
    return took


def dlt(bench: Bench) -> Iterator[Line]:
    """Import without Dagster, and the same account with dlt, in turn."""
    account = bench.account(bench.small if bench.short else 100_000)
    python = _environment(bench)
    ours: list[float] = []
    theirs: list[float] = []
    told: dict[str, Any] = {}
    with served(account.folder) as server:
        for _ in range(bench.repeats):
            ours.append(_whole(bench, account, server)["seconds"])
            database = bench.copied()
            task = {
                "task": "dlt",
                "url": server.url,
                "key": KEY,
                "database": bench.foreign_url(database),
                "folder": str(bench.home()),
                "windows": _windows(account),
            }
            script = str(Path(__file__).with_name("with_dlt.py"))
            told = run_child([str(python), script], task, {"PATH": os.environ["PATH"]})
            theirs.append(told["seconds"])
            bench.drop(database)
            say(f"ours {ours[-1]:.1f} s, dlt {theirs[-1]:.1f} s")
    yield Line(
        "dlt.whole",
        ratios(theirs, ours),
        f"{account.messages:,}",
        f"{Spread.of(theirs).text('s')} ÷ {Spread.of(ours).text('s')}; dlt {told['dlt']} wrote "
        f"{told['rows']:,} rows to one table with one index",
    )


def original(bench: Bench) -> Iterator[Line]:
    """Import without Dagster, and the same account the original's way."""
    account = bench.account(10_000)
    told: dict[str, Any] = {}
    ours: list[float] = []
    theirs: list[float] = []
    with served(account.folder) as server:
        for _ in range(1 if bench.short else bench.repeats):
            ours.append(_whole(bench, account, server)["seconds"])
            database = bench.copied()
            told = bench.child("original", bench.channel(database, server.url), account)
            theirs.append(told["seconds"])
            bench.drop(database)
    yield Line(
        "original.whole",
        ratios(theirs, ours),
        "10,000",
        f"{Spread.of(theirs).text('s')} ÷ {Spread.of(ours).text('s')}; {told['rows']:,} rows, "
        "without its sleeps, over a socket",
    )


def growth_row(bench: Bench) -> Iterator[Line]:
    """Import accounts of growing size, and a small one beside the largest."""
    sizes = sorted({bench.small, bench.big, bench.largest})
    peaks: dict[int, float] = {}
    took: dict[int, float] = {}
    parts: list[str] = []
    for messages in sizes:
        imported = bench.imported(messages)
        reading, loading = imported.reading, imported.loading
        bench.details[f"read of {messages:,}"] = _where(reading)
        bench.details[f"first load of {messages:,}"] = _where(loading)
        took[messages] = reading["seconds"] + loading["seconds"]
        peaks[messages] = max(reading["peak_mb"], loading["peak_mb"])
        parts.append(
            f"{messages:,}: read {shown(reading['seconds'], 's')}, load "
            f"{shown(loading['seconds'], 's')}, peak {shown(reading['peak_mb'])} and "
            f"{shown(loading['peak_mb'], 'MB')}, database "
            f"{_megabytes(bench, imported.loaded.database):,.0f} MB"
        )
    made_of = "; ".join(parts)
    whole = f"{sizes[0]:,} to {sizes[-1]:,}"
    yield Line("growth.memory", Spread.of([peaks[sizes[-1]]]), f"{sizes[-1]:,}", made_of)
    before, largest = sizes[-2:]
    pair = f"{before:,} and {largest:,}"
    yield Line("growth.equal", ratios([peaks[largest]], [peaks[before]]), pair)
    yield Line("growth.time", Spread.of([growth(took)]), whole, "the same")
    # Not a copy of it: at ten million it is most of a disk.
    yield _beside(bench, bench.imported(sizes[-1]).loaded.database, sizes[-1])


def _megabytes(bench: Bench, database: str) -> float:
    with bench.session(database) as session:
        found = session.execute("SELECT pg_database_size(current_database())").fetchone()
    return float(found[0]) / 1e6 if found else 0.0


def _beside(bench: Bench, full: str, there: int) -> Line:
    account = bench.account(bench.small, seed=8)
    in_full: list[float] = []
    in_empty: list[float] = []
    for _ in range(bench.repeats):
        # Another server, so that it is another channel.
        with served(account.folder) as server:
            for database, times in ((bench.copied(), in_empty), (full, in_full)):
                channel = bench.channel(database, server.url)
                bench.child("read", channel, account)
                done = bench.child("load", channel, account)
                times.append(done["seconds"])
                beside = f" beside {there:,}" if database == full else ""
                bench.details[f"load of another {account.messages:,}{beside}"] = _where(done)
    return Line(
        "growth.full",
        ratios(in_full, in_empty),
        f"{bench.small:,} beside {there:,}",
        f"{Spread.of(in_full).text('s')} ÷ {Spread.of(in_empty).text('s')}",
    )


def sync(bench: Bench) -> Iterator[Line]:
    """Make a pass after one message has come, in a small channel and in a big one, in turn."""
    took: dict[int, list[float]] = {bench.small: [], bench.big: []}
    told: dict[str, Any] = {}
    channels = {messages: _twin(bench, messages) for messages in took}
    for turn in range(1, bench.repeats + 1):
        for messages, channel in channels.items():
            imported = bench.imported(messages)
            with served(imported.account.folder, port=imported.port) as server:
                for past in range(turn):
                    _let_arrive(server, imported.account, past)
                server.stats()
                told = bench.child("sync", channel, imported.account, later=turn / 60)
                told["requests"] = server.stats()["requests"]
            took[messages].append(told["seconds"])
            bench.details[f"pass with 1 new message in {messages:,}"] = _where(told)
    size = f"{bench.big:,}"
    made_of = f"{told['inserted']} inserted, {told['requests']} requests, {told['days']} days read"
    yield Line("sync.pass", Spread.of(took[bench.big]), size, made_of)
    yield Line(
        "sync.constant",
        ratios(took[bench.big], took[bench.small]),
        size,
        f"{Spread.of(took[bench.big]).text('s')} ÷ {Spread.of(took[bench.small]).text('s')} "
        f"at {bench.small:,}",
    )
    bench.drop(*(channel.database for channel in channels.values()))


def _twin(bench: Bench, messages: int) -> Channel:
    """Return an imported channel that may be changed: its database and archive copied."""
    loaded = bench.imported(messages).loaded
    home = bench.home()
    shutil.copytree(loaded.home / "archive", home / "archive")
    database = bench.copied(loaded.database)
    settle(bench, database)
    return replace(loaded, database=database, home=home)


def _let_arrive(server: Served, account: Account, number: int) -> None:
    """Let a message arrive in the last minute of the account's last day."""
    chats = json.loads((account.folder / "chats.json").read_bytes())
    chat = next(c["id"] for c in chats if c["id"].endswith(("@s.whatsapp.net", "@c.us")))
    stanza, second = f"3EBENCH{number:013d}", int(account.moment.timestamp()) - 60 + number
    key = {"remoteJid": chat.replace("@c.us", "@s.whatsapp.net"), "fromMe": False, "id": stanza}
    message = {
        "id": f"false_{chat}_{stanza}",
        "timestamp": second,
        "from": chat,
        "fromMe": False,
        "body": "one more",
        "hasMedia": False,
        "_data": {
            "key": key,
            "message": {"conversation": "one more"},
            "messageTimestamp": second,
        },
    }
    server.put(chat, message)
    # The server sorts its rows anew at the first question after that; this is not to be measured.
    window = {"limit": 1, "filter.timestamp.gte": second, "filter.timestamp.lte": second}
    address = f"{server.url}/api/default/chats/all/messages"
    httpx.get(address, params=window, headers={"X-Api-Key": KEY}, timeout=300).raise_for_status()


ROWS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "reference": reference,
    "daemon": daemon,
    "webjs": webjs,
    "latency": latency,
    "bare": bare,
    "load": load,
    "dlt": dlt,
    "original": original,
    "growth": growth_row,
    "sync": sync,
}


def _whole(bench: Bench, account: Account, server: Served) -> dict[str, Any]:
    database = bench.copied()
    done = bench.child("whole", bench.channel(database, server.url), account, profile=False)
    bench.drop(database)
    return done


def _windows(account: Account) -> list[tuple[int, int]]:
    """Return windows of 31 days, epoch seconds."""
    begin = datetime.combine(account.first, datetime.min.time(), UTC)
    step, windows = timedelta(days=31), []
    while begin.date() <= account.last:
        windows.append((int(begin.timestamp()), int((begin + step).timestamp())))
        begin += step
    return windows


def _environment(bench: Bench) -> Path:
    """Return the Python of an environment that holds dlt as locked, made the first time.

    It is not put beside the project's own packages: who installs the project gets none of it.
    """
    folder = bench.folder / "dlt"
    python = folder / "bin" / "python"
    stamp = folder / "requirements.lock"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        say("installing dlt into an environment of its own")
        pip = [sys.executable, "-m", "uv"]
        run = [
            [*pip, "venv", "--quiet", "--clear", str(folder)],
            [
                *(*pip, "pip", "install", "--quiet", "--require-hashes"),
                *("--python", str(python), "-r", str(LOCK)),
            ],
        ]
        for command in run:
            subprocess.run(command, check=True)
        stamp.write_bytes(LOCK.read_bytes())
    return python


def _where(done: dict[str, Any]) -> str:
    """Return where the time of a child's work went, in Markdown."""
    seen = done.get("profile")
    if not seen:
        return ""
    text = shares(seen["parts"], seen["wall"])
    slowest = list(seen["statements"].items())[:16]
    if slowest:
        text += "\n\nslowest statements: " + ", ".join(f"{n} {shown(s, 's')}" for n, s in slowest)
    if seen["beside"]:
        others = ", ".join(f"{name} {shown(s, 's')}" for name, s in seen["beside"].items())
        text += f"\n\nin other threads, beside it: {others}"
    if seen["missing"]:
        text += f"\n\nnot found, so counted elsewhere: {', '.join(seen['missing'])}"
    return text
