"""The catalogue of errors is whole, and the reference pages are what the code says."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from sqlalchemy import Engine

import ventros_pipeline
from docs import generate
from ventros_pipeline import catalogue
from ventros_pipeline.api.problems import KINDS
from ventros_pipeline.cli import app
from ventros_pipeline.crm import plans
from ventros_pipeline.transform.messages import ERASED, OVER_LIMIT

PACKAGE = Path(ventros_pipeline.__file__).parent


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name):
                yield path, node


def _either(node: ast.expr) -> list[ast.expr]:
    return [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]


def module(path: str) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


# -- the catalogue -------------------------------------------------------------------------------


def test_every_class_of_errors_is_in_the_catalogue() -> None:
    for found in pkgutil.walk_packages(ventros_pipeline.__path__, "ventros_pipeline."):
        if ".migrations" not in found.name and not found.name.endswith(".definitions"):
            importlib.import_module(found.name)
    classes, known = [Exception], set()
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        if kind.__module__.startswith("ventros_pipeline."):
            known.add(f"{kind.__module__.removeprefix('ventros_pipeline.')}.{kind.__name__}")
    assert known == set(catalogue.ERRORS) | set(catalogue.INTERNAL)
    assert not set(catalogue.ERRORS) & set(catalogue.INTERNAL)


def test_every_complaint_is_in_the_catalogue() -> None:
    named = {
        call.args[0].value
        for name in ("Complaint", "Problem")
        for path, call in calls(name)
        if path.parts[0] != "api" and isinstance(call.args[0], ast.Constant)
    }
    assert named == set(catalogue.COMPLAINTS)


def test_every_reason_is_in_the_catalogue() -> None:
    rejections = {
        value.value
        for function in ast.walk(module("waha/wire.py"))
        if isinstance(function, ast.FunctionDef) and function.returns
        if ast.unparse(function.returns).endswith("| str")
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.IfExp)
        for value in _either(node.value)
        if isinstance(value, ast.Constant)
    }
    assert rejections == set(catalogue.QUARANTINE)
    filters = {
        call.args[0].value
        for path, call in calls("pl.lit")
        if path == Path("transform/conversations.py") and isinstance(call.args[0], ast.Constant)
    }
    assert filters | {OVER_LIMIT, ERASED} == set(catalogue.FILTERED)
    files = {
        call.args[1].value
        for name in ("NoFile", "Outcome")
        for _, call in calls(name)
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and call.args[1].value
    }
    assert files == set(catalogue.MEDIA)
    kinds = {plans.TRANSIENT, plans.NOT_READY, plans.CONFIGURATION, plans.POISON}
    assert kinds == set(catalogue.FAILURES)
    assert set(KINDS) == set(catalogue.PROBLEMS)


def test_no_command_fails_with_words_of_its_own() -> None:
    """What a command says is an error's text, so that it is one of the catalogue's."""
    own = [str(path) for path, call in calls("console.fail") if generate.template(call.args[0])]
    assert own == []


def test_every_entry_says_what_to_do_under_a_code_of_its_own() -> None:
    groups = (
        catalogue.ERRORS,
        catalogue.COMPLAINTS,
        catalogue.QUARANTINE,
        catalogue.FILTERED,
        catalogue.MEDIA,
        catalogue.FAILURES,
    )
    entries = [entry for group in groups for entry in group.values()]
    assert len({entry.code for entry in entries}) == len(entries)
    assert all(entry.cause and entry.repair for entry in entries)


def test_the_commands_in_the_catalogue_exist() -> None:
    root: Any = typer.main.get_command(app)
    known = {" ".join(words) for words, _ in generate.leaves(root, ("ventros",))}
    text = (PACKAGE / "catalogue.py").read_text(encoding="utf-8").replace('" "', " ")
    text = " ".join(re.sub(r'"\s*\n\s*"', "", text).split())
    for said in re.findall(r"`(ventros [a-z -]+)", text):
        words = said.split()
        assert known & {" ".join(words[:2]), " ".join(words[:3])}, said


# -- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    page = generate.FOLDER / name
    assert page.read_text(encoding="utf-8") == generate.PAGES[name](), "run `make docs`"


def test_the_page_of_errors_has_every_sentence_cause_and_repair() -> None:
    page = generate.errors()
    for entry in catalogue.ERRORS.values():
        assert f"### {entry.code}\n" in page
        assert entry.cause in page
        assert entry.repair in page
    assert "its WAHA key" not in page
    assert "… is in the variable …, which is not set" in page
    silent = set(catalogue.ERRORS) - set(generate.sentences())
    assert silent <= {"waha.errors.WahaError"}


def test_the_page_of_tables_is_what_the_migrations_make(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
            "FROM pg_class AS c INNER JOIN pg_attribute AS a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'history_sync'::regnamespace AND c.relkind = 'r' "
            "AND a.attnum > 0 AND NOT a.attisdropped "
            "AND c.relname NOT IN ('applied_sql', 'alembic_version')"
        ).fetchall()
    there: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        there.setdefault(table, {})[column] = kind.replace(
            "timestamp with time zone", "timestamptz"
        )
    said = {
        name: {column: kind for column, kind, _ in columns.values()}
        for name, (_, columns) in generate.memory_tables().items()
    }
    assert said == there


def test_every_command_takes_json_and_says_what_it_does() -> None:
    root: Any = typer.main.get_command(app)
    for words, command in generate.leaves(root, ("ventros",)):
        assert "--json" in {option for p in command.params for option in p.opts}, words
        assert command.help, words
        assert f"## `{' '.join(words)}`" in generate.commands()
