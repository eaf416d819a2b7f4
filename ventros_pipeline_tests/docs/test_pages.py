"""What the pages tell a reader to type is typed here, and what they show is what it prints."""

from __future__ import annotations

from ventros_pipeline_tests.docs.conftest import Tutored
from ventros_pipeline_tests.docs.shell import shown_beside


def test_the_tutorial_prints_what_it_shows(tutored: Tutored) -> None:
    for shown, printed in shown_beside(tutored.page, tutored.printed):
        assert [line for line in printed if line in shown] == shown
