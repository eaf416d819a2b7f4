"""The house: the rooms that know nothing of Dagster, and the commands that start at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT_ALL = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    if ".migrations" not in module.name:  # Alembic runs these itself.
        importlib.import_module(module.name)
print(sorted(name for name in sys.modules if name.split(".")[0].startswith("dagster")))
"""
HEAVY = (
    *("alembic", "dagster", "fastapi", "httpx", "polars", "psycopg"),
    *("sqlalchemy", "starlette", "uvicorn"),
)


def fresh_interpreter(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("room", ["waha", "transform", "crm", "api"])
def test_a_room_works_without_dagster(room: str) -> None:
    assert fresh_interpreter(IMPORT_ALL, f"ventros_pipeline.{room}") == "[]"


def test_the_command_line_loads_nothing_heavy_before_it_is_needed() -> None:
    said = fresh_interpreter("import sys, ventros_pipeline.cli; print(*sys.modules)")
    assert not {name.split(".")[0] for name in said.split()}.intersection(HEAVY)
