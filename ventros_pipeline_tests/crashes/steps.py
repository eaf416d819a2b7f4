"""The steps of an import, found from outside: the product knows nothing of being killed.

What belongs here: where a step begins and ends, and what may happen there. What does not: which
steps are chosen, and what must be true afterwards (`trials.py`).
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from dagster._core.instance.methods.event_methods import EventMethods

from ventros_pipeline.crm import sql
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.stores import Folder

# How the sessions of an import that has an incident are known to the server.
VICTIM = "ventros-victim"

Incident = Callable[[psycopg.Cursor[Any] | None], None]


def kill(_: psycopg.Cursor[Any] | None) -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def no_space(_: psycopg.Cursor[Any] | None) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


def cut(cursor: psycopg.Cursor[Any] | None) -> None:
    """Let the server end the session that is in use."""
    if cursor is not None:
        info = cursor.connection.info
        with psycopg.connect(info.dsn, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [info.backend_pid])


def kill_server(cursor: psycopg.Cursor[Any] | None) -> None:
    """Kill the database server, as a power cut of its machine would."""
    if cursor is not None:
        # Not by the session in use, which may be within a COPY, and would wait for itself for ever.
        with psycopg.connect(cursor.connection.info.dsn) as other:
            found = other.execute("SHOW data_directory").fetchone()
        postmaster = Path(found[0] if found else "") / "postmaster.pid"
        os.kill(int(postmaster.read_text().splitlines()[0]), signal.SIGKILL)


def set_clock_back(_: psycopg.Cursor[Any] | None) -> None:
    """Let this process believe that it is two days earlier from now on."""
    earlier = datetime.now(UTC) - timedelta(days=2)
    Pipeline.now = lambda _: earlier  # type: ignore[method-assign]


def refuse(state: str) -> Incident:
    """Return an incident in which the server refuses what comes next with an SQLSTATE.

    The server itself raises it, so that the transaction is as lost as it would be.
    """

    def raised(cursor: psycopg.Cursor[Any] | None) -> None:
        if cursor is not None:
            cursor.connection.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'incident' USING ERRCODE = '{state}'; END $$"  # type: ignore[arg-type]
            )

    return raised


@dataclass
class Steps:
    """Counts the steps of this process, by name, and lets an incident happen at one of them.

    Attributes:
        at: the step, as `(name, how many of that name came before)`; none if null.
        seen: the names, in the order in which they came.
    """

    at: tuple[str, int] | None = None
    incident: Incident = kill
    seen: list[str] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    def step(self, name: str, cursor: psycopg.Cursor[Any] | None = None) -> None:
        """Pass a step."""
        number = self._counts[name]
        self._counts[name] += 1
        self.seen.append(name)
        if self.at == (name, number):
            self.incident(cursor)

    def watch(self) -> None:
        """Find the steps of everything that this process does from now on."""
        self._watch_statements()
        self._watch_copies()
        self._around(psycopg.Connection, "commit", lambda *_: "commit")
        self._around(httpx.Client, "send", lambda *_, request: f"fetch {_path(request)}", "request")
        self._around(Folder, "_write", lambda *_: "archive: write")
        self._around(os, "replace", lambda *_: "archive: rename")
        self._around(os, "fsync", lambda *_: "archive: sync")
        self._around(
            EventMethods, "handle_new_event", lambda _, event, *__: f"event {_kind(event)}"
        )

    def _watch_statements(self) -> None:
        names = {
            path.read_text(encoding="utf-8"): f"{path.parent.name}/{path.stem}"
            for path in sql.sql_dir().rglob("*.sql")
        }
        execute = psycopg.Cursor.execute

        @functools.wraps(execute)
        def stepped(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
            name = names.get(query) if isinstance(query, str) else None
            if name is None:
                return execute(cursor, query, *arguments, **named)
            self.step(f"before {name}", cursor)
            result = execute(cursor, query, *arguments, **named)
            self.step(f"after {name}", cursor)
            return result

        psycopg.Cursor.execute = stepped  # type: ignore[method-assign, assignment]

    def _watch_copies(self) -> None:
        write = psycopg.Copy.write

        @functools.wraps(write)
        def stepped(copy: Any, buffer: Any) -> None:
            self.step("before a block of COPY", copy.cursor)
            write(copy, buffer)
            self.step("within COPY", copy.cursor)

        psycopg.Copy.write = stepped  # type: ignore[method-assign]

    def _around(self, owner: Any, name: str, named: Callable[..., str], *given: str) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def stepped(*arguments: Any, **more: Any) -> Any:
            label = named(*arguments, **{key: more[key] for key in given})
            self.step(f"before {label}")
            result = function(*arguments, **more)
            self.step(f"after {label}")
            return result

        setattr(owner, name, stepped)


def _path(request: httpx.Request) -> str:
    """Return what is asked for, without the session's name and without any address."""
    parts = Path(request.url.path).parts
    return "/".join(part for part in parts[1:4] if "@" not in part and part != "default")


def _kind(entry: Any) -> str:
    """Return the type of a Dagster event, or that it is a mere log line."""
    return entry.dagster_event_type.value.lower() if entry.is_dagster_event else "log line"
