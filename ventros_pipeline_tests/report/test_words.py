"""One catalogue, whole in every language."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from string import Formatter

import pytest

import ventros_pipeline.report
from ventros_pipeline.crm.figures import EVIDENCE, SESSION_SIZES
from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.report.figures import STATES
from ventros_pipeline.report.words import CATALOGUE, LANGUAGES, Words

ROOM = Path(ventros_pipeline.report.__file__).parent
# Names of values, which are looked up by value.
GROUPS = ("because", "count", "direction", "import.status", "kind", "people", "sessions", "state")
GROUPS += ("status", "limit", "reason", "verdict", "figure")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_text_has_the_same_figures_and_forms_in_both_languages(key: str) -> None:
    english, portuguese = CATALOGUE[key]
    assert english.strip()
    assert portuguese.strip()
    assert english.count("|") == portuguese.count("|") <= 1
    for one in (*english.split("|"), *portuguese.split("|")):
        assert fields(one) == fields(english.split("|")[0])


def test_no_text_was_left_in_the_other_language() -> None:
    same = {key for key, (english, portuguese) in CATALOGUE.items() if english == portuguese}
    assert not same


def test_every_text_is_said_somewhere_and_every_text_that_is_said_exists() -> None:
    rooms = [path.read_text() for path in ROOM.iterdir() if path.suffix in (".py", ".j2")]
    # Without the catalogue itself.
    source = "".join(re.sub(r"\nCATALOGUE.*?\n}\n", "", text, flags=re.DOTALL) for text in rooms)
    said = set(re.findall(r"""say\(\s*["']([a-z_.]+)["']""", source))
    assert said <= CATALOGUE.keys()
    quoted = set(re.findall(r"""["']([a-z_.]+)["']""", source))
    unsaid = {
        key
        for key in CATALOGUE
        if key not in quoted and not any(key.startswith(f"{group}.") for group in GROUPS)
    }
    assert not unsaid


def test_every_value_has_a_name() -> None:
    for group, values in (
        ("count", COUNTS),
        ("people", EVIDENCE),
        ("sessions", SESSION_SIZES),
        ("state", STATES),
    ):
        assert {f"{group}.{value}" for value in values} <= CATALOGUE.keys()
    assert Words().name("kind", "never_heard_of") == "never heard of"


@pytest.mark.parametrize(
    ("value", "english", "portuguese"),
    [
        (1234567, "1,234,567", "1.234.567"),
        (1234.56, "1,234.6", "1.234,6"),
        (date(2026, 2, 3), "Feb 3, 2026", "03/02/2026"),
        (datetime(2026, 2, 3, 4, 5, tzinfo=UTC), "Feb 3, 2026, 04:05 UTC", "03/02/2026, 04:05 UTC"),
    ],
)
def test_numbers_and_days_have_the_form_of_the_language(
    value: object, english: str, portuguese: str
) -> None:
    assert [Words(language).show(value) for language in LANGUAGES] == [english, portuguese]


def test_one_is_not_many() -> None:
    assert Words().say("days.messages", n=1) == "1 message"
    assert Words("pt-BR").say("days.messages", n=2000) == "2.000 mensagens"


def test_something_is_never_said_to_be_nothing() -> None:
    assert Words().share(1, 10**9) == "< 0.1%"
    assert Words("pt-BR").share(1, 8) == "12,5%"
    assert Words().share(0, 0) == "0.0%"


def test_a_length_of_time_is_told_in_two_units() -> None:
    assert [Words().duration(s) for s in (59, 61, 3600 * 1234 + 120)] == [
        "59 s",
        "1 min 1 s",
        "1,234 h 2 min",
    ]


def test_a_language_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="known are en, pt-BR"):
        Words("fr")
