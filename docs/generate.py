"""Writes the reference pages from the code, so that they cannot say anything else.

    make docs

A page is a function that returns its text; `PAGES` names its file. A test refuses a page that is
not what its function returns.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

import ventros_pipeline
from docs.metrics_page import metrics_page
from ventros_pipeline import catalogue
from ventros_pipeline.api.problems import KINDS
from ventros_pipeline.catalogue import Entry
from ventros_pipeline.cli import app
from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT
from ventros_pipeline.crm.doctor import NEEDS
from ventros_pipeline.crm.sql import migrations, read_sql
from ventros_pipeline.settings import Settings
from ventros_pipeline.waha.errors import POLICY

FOLDER = Path(__file__).parent / "reference"
PACKAGE = Path(ventros_pipeline.__file__).parent
MADE = "<!-- Made by `make docs`; change the code instead. -->"


def settings() -> str:
    """Return the page of settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        rows.append((f"`VENTROS_{name.upper()}`", default, field.description or ""))
    return _page(
        "Settings",
        "Environment variables, or a file `.env` in the folder where commands are run; what stands "
        "in the environment wins. `.env.example` lists them all.",
        _table(("variable", "default", "meaning"), rows),
        "WAHA's keys stand beside them, under the names given to `ventros channel add "
        "--api-key-env`; such a name holds `WAHA`.",
        "## Secrets from files",
        "Each secret (" + ", ".join(f"`{name}`" for name in _secrets()) + ", and WAHA's keys under "
        "their own names) can stand in a file instead, as containers hand them over: `NAME_FILE` "
        "names the file, which holds the secret alone. It is not put into the environment, so no "
        "child and no list of processes shows it. Where both are set nothing starts.",
    )


def _secrets() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if SecretStr in (field.annotation, *get_args(field.annotation)):
            yield f"VENTROS_{name.upper()}"


def commands() -> str:
    """Return the page of commands."""
    parts = [
        "Every command takes `--json`: one JSON object, alone on the last line of standard output; "
        "everything else goes to standard error. Exit codes: 0 done, 1 failed, 2 misused. Colours "
        "and progress are shown on a terminal only; `NO_COLOR=1` turns colours off.",
        "`ventros --install-completion` teaches your shell to complete commands, options and the "
        "keys of channels.",
    ]
    for words, command in leaves(typer.main.get_command(app), ("ventros",)):
        parts += [f"## `{' '.join(words)}`", _clean(command.help or "")]
        parts.append(f"```\n{' '.join([*words, *_usage(command)])}\n```")
        rows = [(f"`{_name(p)}`", _default(p), _clean(p.help or "")) for p in _parameters(command)]
        if rows:
            parts.append(_table(("argument", "default", "meaning"), rows))
    return _page("Commands", *parts)


def leaves(command: Any, words: Sequence[str]) -> Iterator[tuple[Sequence[str], Any]]:
    """Yield each command that does something, with the words that call it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*words, name))


def checks() -> str:
    """Return the page of checks."""
    proofs = (*PROOFS, TIMES_KEPT)
    places = {"channel": "CHANNEL", "first": "DAY", "last": "DAY"}
    return _page(
        "Checks",
        "Asset checks of `crm_messages`. They block: a run whose check fails has failed. The "
        "schedule `nightly_checks` asks the same of all days of every channel.",
        _table(
            ("check", "what holds", "what to do when it does not"),
            [
                (f"`{p.name}`", p.promise, f"`{p.command.format(**places)}` {p.advice}")
                for p in sorted(proofs, key=lambda p: p.name)
            ],
        ),
    )


def errors() -> str:
    """Return the page of errors: each with its sentences, its cause and its repair."""
    said = sentences()
    parts = [
        "What commands, runs and the API say when something is wrong. `…` stands for what it "
        "happened on. At a terminal an error names its code on this page.",
        "## Errors",
    ]
    for name, entry in catalogue.ERRORS.items():
        parts += [f"### {entry.code}", *_said(said.get(name, [])), *_explained(entry)]
        if name == "waha.errors.WahaError":
            parts.append(_policy())
    for title, entries in (
        ("Complaints of `ventros doctor`", catalogue.COMPLAINTS),
        ("Reasons for quarantine", catalogue.QUARANTINE),
        ("Reasons for leaving a row out", catalogue.FILTERED),
        ("Reasons for a file that is not there", catalogue.MEDIA),
        ("Failures of a planned range", catalogue.FAILURES),
    ):
        rows = [(f"`{name}`", entry.cause, entry.repair) for name, entry in entries.items()]
        parts += [f"## {title}", _table(("reason", "cause", "repair"), rows)]
    problems = [
        (f"`{kind}`", status, title, catalogue.PROBLEMS[kind])
        for kind, (status, title) in KINDS.items()
    ]
    parts += [
        "## Problems of the HTTP API",
        _table(("problem", "status", "title", "repair"), problems),
    ]
    return _page("Errors", *parts)


def tables() -> str:
    """Return the page of tables."""
    parts = [
        "What an import may do with the CRM's own tables; `sql/roles/create_importer.sql` grants "
        "exactly this.",
        _table(
            ("table of the CRM", "rights"),
            [(f"`public.{name}`", ", ".join(rights)) for name, rights in NEEDS.items()],
        ),
        "## The schema `history_sync`",
        "The pipeline's own memory. `DROP SCHEMA history_sync CASCADE` takes it away; what was "
        "imported stays in the CRM.",
    ]
    for name, (about, columns) in memory_tables().items():
        parts += [f"### `history_sync.{name}`", about] if about else [f"### `history_sync.{name}`"]
        parts.append(_table(("column", "type", "meaning"), _columns(columns)))
    return _page("Tables", *parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings,
    "commands.md": commands,
    "checks.md": checks,
    "errors.md": errors,
    "tables.md": tables,
    "metrics.md": metrics_page,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


# -- errors --------------------------------------------------------------------------------------


_FILLED_IN = re.compile(r"…+|\{\w+\}")


def sentences() -> dict[str, list[str]]:
    """Return what each error of the catalogue is made with, by its name there."""
    classes = {name.rpartition(".")[2]: name for name in catalogue.ERRORS}
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for kind, node in _made(ast.parse(path.read_text(encoding="utf-8"))):
            said = template(node)
            if kind in classes and said:
                found.setdefault(classes[kind], []).append(said)
    return {name: list(dict.fromkeys(said)) for name, said in found.items()}


def _made(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield classes with the text that one is made with, wherever that may be in the code."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Precondition"), args=[_, refusal, *kind]):
                named = [name.id for name in kind if isinstance(name, ast.Name)]
                yield (named or ["LifecycleError"])[0], refusal
            case ast.Call(func=ast.Name(id=name), args=[text, *_]):
                yield name, text
            case ast.ClassDef(name=name):
                for call in ast.walk(node):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                        yield from ((name, text) for text in call.args[:1])


def template(node: ast.expr) -> str:
    """Return a text of the code with `…` for what is filled in; empty where it is no text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(template(part) or "…" for part in parts)
        case ast.BinOp(left=left, right=right):
            both = template(left), template(right)
            return "".join(part or "…" for part in both) if any(both) else ""
        case ast.IfExp(body=body, orelse=orelse):
            return " / ".join(filter(None, (template(body), template(orelse))))
    return ""


def _said(found: Iterable[str]) -> Iterator[str]:
    texts = (_FILLED_IN.sub("…", " ".join(said.split())) for said in found)
    lines = [f"> {text}" for text in texts]
    if lines:
        yield "\n>\n".join(lines)


def _explained(entry: Entry) -> tuple[str, str]:
    return f"**Cause.** {entry.cause}", f"**Repair.** {entry.repair}"


def _policy() -> str:
    """Return what WAHA's answers mean, in the order in which they are judged."""
    rows = []
    for rule in POLICY:
        first, last = rule.statuses.start, rule.statuses.stop - 1
        status = str(first) if first == last else "else" if last == 999 else f"{first}-{last}"
        entry = catalogue.ERRORS[f"waha.errors.{rule.error.__name__}"]
        marker = f"`{rule.marker.decode()}`" if rule.marker else ""
        rows.append((status, marker, entry.code, rule.advice))
    return _table(("HTTP status", "the answer holds", "error", "what to do"), rows)


# -- tables --------------------------------------------------------------------------------------

Column = tuple[str, str, str]
_CREATE = re.compile(
    r"((?:^--[^\n]*\n)*)^CREATE (?:UNLOGGED )?TABLE history_sync\.(\w+) \(\n(.*?)^\)",
    re.MULTILINE | re.DOTALL,
)
_COLUMN = re.compile(r"(ADD COLUMN )?(\w+) (double precision|\w+(?:\[\])?)")
_NO_COLUMN = ("PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT", "EXCLUDE", "ADD", "DROP",
              "ALTER", "REFERENCES", "ON", "DEFAULT", "WHEN")  # fmt: skip


def memory_tables() -> dict[str, tuple[str, dict[str, Column]]]:
    """Return the pipeline's own tables as the migrations make them: about, and the columns."""
    found: dict[str, tuple[str, dict[str, Column]]] = {}
    for file in migrations():
        text = read_sql(file.name)
        for about, name, body in _CREATE.findall(text):
            found[name] = (_comment(about), {c[0]: c for c in _columns_in(body)})
        for name, body in _alterations(text):
            about, columns = found[name]
            for old, new in re.findall(r"RENAME COLUMN (\w+) TO (\w+)", body):
                columns = _renamed(columns, old, new)
            for gone in re.findall(r"DROP COLUMN (\w+)", body):
                columns.pop(gone, None)
            columns |= {c[0]: c for c in _columns_in(body, added=True)}
            found[name] = about, columns
    return dict(sorted(found.items()))


def _renamed(columns: dict[str, Column], old: str, new: str) -> dict[str, Column]:
    named = ((new if name == old else name, *rest) for name, *rest in columns.values())
    return {column[0]: column for column in named}


def _alterations(text: str) -> Iterator[tuple[str, str]]:
    """Yield each table that a migration alters, with the statement; a comment may hold a `;`."""
    name, body = "", []
    for line in text.splitlines():
        if started := re.match(r"ALTER TABLE history_sync\.(\w+)(.*)", line):
            name, body = started[1], []
        if name:
            body.append(started[2] if started else line)
            if ";" in line.partition("--")[0]:
                yield name, "\n".join(body)
                name = ""


def _columns_in(body: str, *, added: bool = False) -> Iterator[Column]:
    """Yield the columns of a statement's body, each with the comment above it."""
    comment: list[str] = []
    for line in body.splitlines():
        words = line.strip()
        if words.startswith("--"):
            comment.append(words)
            continue
        found = _COLUMN.match(words)
        if found and found[2] not in _NO_COLUMN and bool(found[1]) == added:
            yield found[2], found[3], _comment("\n".join(comment))
        comment = []


def _columns(columns: Mapping[str, Column]) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", kind, about) for name, kind, about in columns.values()]


def _comment(lines: str) -> str:
    return " ".join(re.sub(r"^\s*--\s?", "", lines, flags=re.M).split())


# -- commands ------------------------------------------------------------------------------------


def _parameters(command: Any) -> list[Any]:
    return [p for p in command.params if p.name != "help"]


def _usage(command: Any) -> Iterator[str]:
    for parameter in _parameters(command):
        if parameter.param_type_name == "argument":
            yield _name(parameter) if parameter.required else f"[{_name(parameter)}]"
    if any(p.param_type_name == "option" for p in command.params):
        yield "[OPTIONS]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return f"{name}..." if parameter.nargs == -1 else name
    return ", ".join(parameter.opts)


def _default(parameter: Any) -> str:
    if getattr(parameter, "required", False):
        return "needed"
    value = parameter.default
    return "" if value in (None, False, "") or callable(value) else f"`{value}`"


def _clean(text: str) -> str:
    return " ".join(text.split())


# -- pages ---------------------------------------------------------------------------------------


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([MADE, f"# {title}", *parts]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(str(c).replace('|', chr(92) + '|') for c in row)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
