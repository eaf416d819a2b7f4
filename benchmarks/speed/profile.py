"""Where the time of an import goes, seen from outside: the product holds no timing code.

Functions of the product are wrapped for one process. A part's time is what was spent in its
functions and in none that they call of another part, so the parts of one thread sum to its wall
time. What no longer exists under its name is listed as missing, not guessed.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

REST = "the rest of the import"
# part -> functions, each as module:qualified name. A function that is imported by name into other
# modules is wrapped in all of them.
PARTS: dict[str, tuple[str, ...]] = {
    "request": ("ventros_pipeline.waha.client:WahaClient._once",),
    "waiting for a turn": (
        "ventros_pipeline.crm.courtesy:PostgresCourtesy._begin",
        "ventros_pipeline.crm.courtesy:PostgresCourtesy._take_slot",
        "ventros_pipeline.crm.courtesy:PostgresCourtesy._take_token",
        "ventros_pipeline.crm.courtesy:PostgresCourtesy._give_back",
    ),
    "decode (pages)": (
        "ventros_pipeline.waha.client:WahaClient._rows",
        "ventros_pipeline.importer:_Pending.add",
    ),
    "waiting for pages and windows": ("ventros_pipeline.ahead:ahead",),
    "reading": ("ventros_pipeline.importer:Importer.read_with",),
    "decode (messages)": ("ventros_pipeline.waha.wire:decode_rows",),
    "transform": (
        "ventros_pipeline.transform.messages:judge",
        "ventros_pipeline.transform.messages:key",
        "ventros_pipeline.transform.messages:merge",
        "ventros_pipeline.transform.messages:cap",
        "ventros_pipeline.importer:_evidence",
        "ventros_pipeline.importer:Importer._window",
        "ventros_pipeline.crm.load:_wanted",
    ),
    "archive": (
        "ventros_pipeline.archive:Archive.write",
        "ventros_pipeline.archive:Archive.read",
    ),
    "stage": ("ventros_pipeline.crm.copying:copy_frame",),
    "merge": ("ventros_pipeline.crm.load:load_window",),
    "people": (
        "ventros_pipeline.crm.identities:resolve_people",
        "ventros_pipeline.crm.merging:settle_people",
        "ventros_pipeline.crm.merging:meet_contacts",
        "ventros_pipeline.crm.load:update_groups",
        "ventros_pipeline.crm.load:save_directory",
    ),
    "ledger": (
        "ventros_pipeline.crm.ledger:_execute",
        "ventros_pipeline.crm.ledger:_rows",
        "ventros_pipeline.crm.coverage:_execute",
        "ventros_pipeline.crm.coverage:_rows",
    ),
    "checks": (
        "ventros_pipeline.crm.checks:prove",
        "ventros_pipeline.crm.checks:prove_times",
        "ventros_pipeline.importer:archived_times",
    ),
}
# Only where Dagster is there anyway: importing it would be most of a small import's memory.
DAGSTER = "Dagster"
DAGSTER_PARTS: dict[str, tuple[str, ...]] = {
    "Dagster: storing events": (
        "dagster._core.instance.methods.event_methods:EventMethods.handle_new_event",
    ),
    "Dagster: looking up partition keys": (
        "dagster._core.instance.instance:DagsterInstance.has_dynamic_partition",
        "dagster._core.instance.instance:DagsterInstance.get_dynamic_partitions",
    ),
}


class Profile:
    """Seconds by part and by statement, and how often each part was entered.

    Threads other than the one that made it are counted apart: they run beside it.
    """

    def __init__(self, rest: str = REST) -> None:
        self._main = threading.get_ident()
        self._stacks = threading.local()
        self.seconds: Counter[str] = Counter()
        self.beside: Counter[str] = Counter()
        self.statements: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.missing: list[str] = []
        self._rest = rest
        self._begun = 0.0

    def start(self) -> None:
        """Begin: from here on every moment of this thread belongs to some part."""
        parts = PARTS | (DAGSTER_PARTS if self._rest == DAGSTER else {})
        for part, functions in parts.items():
            for function in functions:
                if not self._wrap(function, part):
                    self.missing.append(function)
        self._wrap_statements()
        self._stack.append([self._rest, perf_counter()])
        self._begun = perf_counter()

    def stop(self) -> dict[str, Any]:
        """Return what was seen, and the wall time since the start."""
        wall = perf_counter() - self._begun
        while self._stack:
            self._leave()
        return {
            "wall": wall,
            "parts": dict(self.seconds),
            "beside": dict(self.beside),
            "calls": dict(self.calls),
            "statements": dict(self.statements.most_common(25)),
            "missing": self.missing,
        }

    @property
    def _stack(self) -> list[list[Any]]:
        if not hasattr(self._stacks, "open"):
            self._stacks.open = []
        return self._stacks.open  # type: ignore[no-any-return]

    def _enter(self, part: str) -> None:
        now = perf_counter()
        if self._stack:
            self._add(self._stack[-1], now)
        self._stack.append([part, now])
        self.calls[part] += 1

    def _leave(self) -> None:
        now = perf_counter()
        self._add(self._stack.pop(), now)
        if self._stack:
            self._stack[-1][1] = now

    def _add(self, opened: list[Any], now: float) -> None:
        part, since = opened
        counter = self.seconds if threading.get_ident() == self._main else self.beside
        counter[part] += now - since

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._enter(part)
            try:
                result = function(*args, **kwargs)
            finally:
                self._leave()
            return self._stepped(result, part) if isinstance(result, Iterator) else result

        return call

    def _stepped(self, steps: Iterator[Any], part: str) -> Iterator[Any]:
        """Count what a generator does between two of its values."""
        while True:
            self._enter(part)
            try:
                value = next(steps)
            except StopIteration:
                return
            finally:
                self._leave()
            yield value

    def _wrap(self, place: str, part: str) -> bool:
        module_name, _, qualified = place.partition(":")
        *classes, name = qualified.split(".")
        try:
            module = importlib.import_module(module_name)
            owner: Any = module
            for each in classes:
                owner = getattr(owner, each)
            function = owner.__dict__[name]
        except (ImportError, AttributeError, KeyError):
            return False
        timed = self._timed(function, part)
        if classes:
            setattr(owner, name, timed)
        else:
            _replace_everywhere(function, timed)
        return True

    def _wrap_statements(self) -> None:
        """Count the seconds of every statement under its file's name, or its first words."""
        import psycopg

        from ventros_pipeline.crm import sql

        names = {
            path.read_text(encoding="utf-8"): f"{path.parent.name}/{path.stem}"
            for path in sql.sql_dir().rglob("*.sql")
        }
        execute = psycopg.Cursor.execute

        @functools.wraps(execute)
        def timed(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            begun = perf_counter()
            try:
                return execute(cursor, query, *args, **kwargs)
            finally:
                name = names.get(query) if isinstance(query, str) else None
                if name:
                    self.statements[name] += perf_counter() - begun

        psycopg.Cursor.execute = timed  # type: ignore[method-assign, assignment]


def _replace_everywhere(function: Callable[..., Any], timed: Callable[..., Any]) -> None:
    import sys

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("ventros_pipeline"):
            for name, value in list(vars(module).items()):
                if value is function:
                    setattr(module, name, timed)
