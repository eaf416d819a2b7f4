"""What the pages tell a reader to type is typed here, and what they show is what it prints."""

from __future__ import annotations

import pytest

from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.docs.conftest import WAHA_URL, NewShell, Tutored
from ventros_pipeline_tests.docs.pages import ROOT, Page, all_pages
from ventros_pipeline_tests.docs.shell import shown_beside

# Pages that begin with nothing, or need a CRM of their own.
FRESH = ("README.md", "CONTRIBUTING.md", "docs/how-to/real-crm.md")
# A page of the same commands, word for word (`test_languages.py`).
TRANSLATED = ("README.pt-BR.md",)
TUTORIAL = "docs/tutorial.md"
OTHERS = [
    page
    for page in all_pages()
    if page.commands and page.name not in (*FRESH, *TRANSLATED, TUTORIAL)
]


def page_named(name: str) -> Page:
    return Page(ROOT / name)


def assert_shown(page: Page, printed: list[str]) -> None:
    """Compare line by line: a page may leave lines out, but shows none that was not printed."""
    for shown, said in shown_beside(page, printed):
        rest = iter(said)
        assert [line for line in shown if line not in rest] == []


def test_a_person_who_follows_the_readme_has_imported_their_whatsapp(
    new_shell: NewShell, waha: ReplayServer
) -> None:
    page = page_named("README.md")
    printed = new_shell({WAHA_URL: waha.url}).type_page(page)
    assert_shown(page, printed)
    assert "The balance closes" in printed[-1]
    assert "is in the CRM, 2 messages" in printed[-1]


def test_the_tutorial_prints_what_it_shows(tutored: Tutored) -> None:
    assert_shown(tutored.page, tutored.printed)


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_a_page_does_what_it_says_in_a_home_that_is_imported(page: Page, tutored: Tutored) -> None:
    assert_shown(page, tutored.shell.type_page(page))


def test_a_real_crm_is_migrated_used_and_left_as_the_page_says(
    new_shell: NewShell, owner_url: str
) -> None:
    page = page_named("docs/how-to/real-crm.md")
    urls = {
        "postgresql://owner@db.example.com/crm": f"'{owner_url}'",
        "postgresql://ventros_importer@db.example.com/crm": owner_url.replace(
            "ventros_owner", "ventros_importer"
        ),
    }
    assert_shown(page, new_shell(urls).type_page(page))


def test_a_contributor_types_what_the_page_says(new_shell: NewShell) -> None:
    new_shell({}).type_page(page_named("CONTRIBUTING.md"))
