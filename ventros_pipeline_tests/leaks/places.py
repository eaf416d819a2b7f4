"""Looks for needles in databases, folders and lists of processes.

What belongs here: reading all of a place, column by column and file by file. What does not: which
place may hold what.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from ventros_pipeline_tests.leaks.needles import Needle, found_in

COLUMNS = """
    SELECT c.table_name, c.column_name, c.data_type
    FROM information_schema.columns AS c JOIN information_schema.tables AS t
        USING (table_schema, table_name)
    WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE' ORDER BY 1, 2
"""
Found = Mapping[str, set[Needle]]


def in_database(url: str, schema: str, secrets: tuple[str, ...] = ()) -> Found:
    """Return what each `table.column` of a schema holds; bytes are looked into."""
    found: dict[str, set[Needle]] = defaultdict(set)
    with psycopg.connect(url) as session:
        for table, column, kind in session.execute(COLUMNS, (schema,)).fetchall():
            form = sql.SQL("{}" if kind == "bytea" else "{}::text").format(sql.Identifier(column))
            select = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL").format(
                form, sql.Identifier(schema, table), sql.Identifier(column)
            )
            for (value,) in session.execute(select):
                data = value.encode() if isinstance(value, str) else bytes(value)
                found[f"{table}.{column}"] |= found_in(data, secrets)
    return {place: needles for place, needles in found.items() if needles}


def in_folder(folder: Path, secrets: tuple[str, ...] = ()) -> Found:
    """Return what each file holds, its own name included."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        needles = found_in(name.encode(), secrets)
        if path.is_file():
            needles |= found_in(path.read_bytes(), secrets)
            needles |= _in_sqlite(path, secrets)
        if needles:
            found[name] = needles
    return found


def _in_sqlite(path: Path, secrets: tuple[str, ...]) -> set[Needle]:
    """Look into values that SQLite keeps packed; what it keeps as text is found as it is."""
    if path.read_bytes()[:15] != b"SQLite format 3":
        return set()
    needles = set[Needle]()
    with closing(sqlite3.connect(path)) as session:
        for (table,) in session.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for row in session.execute(f'SELECT * FROM "{table}"').fetchall():
                for value in row:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    needles |= found_in(data, secrets)
    return needles


class Watched:
    """The command lines of all processes that this one has begun, seen while it runs."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()

    def look(self) -> None:
        """Look until it is over."""
        me = psutil.Process()
        while not self._over.is_set():
            for child in me.children(recursive=True):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    self.seen.add("\0".join(child.cmdline()))
            self._over.wait(0.1)

    def end(self) -> None:
        """Stop looking."""
        self._over.set()


@contextmanager
def watched_processes() -> Iterator[Watched]:
    """Watch the processes of this one until the block ends."""
    watched = Watched()
    thread = threading.Thread(target=watched.look, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        watched.end()
        thread.join(10)
