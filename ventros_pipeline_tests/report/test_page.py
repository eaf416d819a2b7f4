"""Pictures, page and markdown: well-formed, whole, and harmless whatever they are told."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from ventros_pipeline.report import pictures
from ventros_pipeline.report.drawing import DARK, LIGHT, Drawing
from ventros_pipeline.report.figures import DayFigures, Report
from ventros_pipeline.report.markdown import escaped, markdown_of
from ventros_pipeline.report.page import page_of
from ventros_pipeline.report.words import LANGUAGES, Words
from ventros_pipeline_tests.report.made import HOSTILE, every_state, hostile, made

SVG = "{http://www.w3.org/2000/svg}"
REPORTS = {
    "complete": made(),
    "every state": every_state(),
    "hostile": hostile(),
    "never imported": made([], plan=None, runs=[], breakdown={}, people={}, sessions={}),
}
every_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
every_language = pytest.mark.parametrize(
    "words", [Words(each) for each in LANGUAGES], ids=LANGUAGES
)


class Reader(HTMLParser):
    """Collects what a page refers to, runs and says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.text = ""
        self.is_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.is_style = tag == "style"
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if not self.is_style:
            self.text += data


def parsed(svg: str | bytes) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 -- our own


def drawn(report: Report, words: Words) -> list[Drawing]:
    calendar = pictures.calendar(report, words)
    return [*calendar, pictures.legend(words), *pictures.every(report, words)]


def texts(drawing: Drawing) -> list[str]:
    return [found.text or "" for found in parsed(drawing.inline()).iter(f"{SVG}text")]


@every_language
@every_report
def test_every_picture_is_well_formed_and_says_what_it_shows(report: Report, words: Words) -> None:
    for drawing in drawn(report, words):
        for svg in (drawing.inline(), drawing.alone()):
            root = parsed(svg)
            assert root.get("role") == "img"
            named = [root[0].get("id"), root[1].get("id")]
            assert (root[0].tag, root[1].tag) == (f"{SVG}title", f"{SVG}desc")
            assert root.get("aria-labelledby") == " ".join(str(each) for each in named)
            assert (root[0].text or "").strip()
            assert (root[1].text or "").strip()
            assert not list(root.iter(f"{SVG}script"))


@every_report
def test_nothing_is_drawn_beyond_the_edge(report: Report) -> None:
    for drawing in drawn(report, Words()):
        for rect in parsed(drawing.inline()).iter(f"{SVG}rect"):
            x, y, width, height = (float(rect.get(n, 0)) for n in ("x", "y", "width", "height"))
            assert min(x, y, width, height) >= 0
            assert x + width <= drawing.width + 0.01
            assert y + height <= drawing.height + 0.01


def test_the_bar_of_the_balance_is_in_proportion_and_its_parts_can_be_seen() -> None:
    balance = {"seen": 1_000_000, "inserted": 499_999, "updated": 500_000, "quarantined": 1}
    drawing = pictures.balance(made(balance=balance), Words())
    bars = [r for r in parsed(drawing.inline()).iter(f"{SVG}rect") if r.get("y") == "4"]
    one, two, three = (float(bar.get("width", 0)) for bar in bars)
    assert one == pytest.approx(two, abs=5)
    assert three >= 3
    assert "499,999  (50.0%)" in texts(drawing)
    assert "1  (< 0.1%)" in texts(drawing)


def test_the_bars_are_as_long_as_what_they_stand_for() -> None:
    report = made(breakdown={"kind": {"text": 400, "image": 100}})
    root = parsed(pictures.kinds(report, Words()).inline())
    bars = [float(r.get("width", 0)) for r in root.iter(f"{SVG}rect") if r.get("class") == "f-bar"]
    assert bars == [pictures.WIDTH, pictures.WIDTH / 4]


def test_each_state_of_a_day_has_a_mark_of_its_own() -> None:
    marks = {}
    for state in ("unknown", "reading", "settling", "settled", "exhausted"):
        drawing = Drawing("one", 20, 20, "one", "one")
        pictures._cells(drawing, [(state, 1, 0, 0)])
        shapes = parsed(drawing.inline()).iter(f"{SVG}path")
        marks[state] = tuple((s.get("d"), (s.get("class") or "")[:2]) for s in shapes)
    assert len(set(marks.values())) == 5


def test_the_calendar_has_a_square_for_every_day_and_says_it_to_who_points_at_it() -> None:
    report = every_state()
    tips, squares = [], 0
    for drawing in pictures.calendar(report, Words(), tips=True):
        root = parsed(drawing.inline())
        tips += [t.text for r in root.iter(f"{SVG}rect") for t in r.iter(f"{SVG}title")]
        squares += sum(
            (path.get("d") or "").count("z")
            for path in root.iter(f"{SVG}path")
            if (path.get("class") or "").startswith("f-h")
        )
    assert squares == len(tips) == len(report.days)
    assert tips[3] == "Mar 27, 2026: 9 messages, stopped growing"


@every_language
@every_report
def test_the_page_needs_nothing_from_anywhere(report: Report, words: Words) -> None:
    page = page_of(report, words)
    found = Reader(page)
    assert found.addresses == []
    assert found.handlers == []
    assert not {"script", "link", "iframe", "img", "object", "embed", "base"} & set(found.tags)
    assert not re.search(r"url\(|@import", page)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}
    assert len(found.ids) == len(set(found.ids))
    assert found.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(found.headings, found.headings[1:], strict=False))
    assert f'<html lang="{words.language}">' in page


def test_what_means_harm_is_shown_as_text() -> None:
    report = hostile()
    page = page_of(report, Words())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "1,000,000,000,000,000" in page
    markdown = markdown_of(report, Words())
    outside = re.sub(r"(?<!\\)`[^`]*`|!\[.*?\]\(data:[^)]*\)", "", markdown)
    assert not re.search(r"(?<!\\)[<>]", outside)


def test_the_page_in_portuguese_holds_no_english() -> None:
    text = Reader(page_of(every_state(), Words("pt-BR"))).text
    assert "Está tudo aí?" in text
    assert "31/03/2026" in text or "24/03/2026" in text
    for word in ("message", "days", "Balance", "People", "settled", "Next"):
        assert word not in text


def test_the_markdown_holds_its_pictures_and_stays_small() -> None:
    report = every_state()
    markdown = markdown_of(report, Words())
    images = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", markdown)
    names = [found.name for found in drawn(report, Words())]
    roots = [parsed(base64.b64decode(image)) for image in images]
    assert [root.get("aria-labelledby") for root in roots] == [
        f"{name}-alone-title {name}-alone-desc" for name in names
    ]
    assert len(markdown) < 100_000


def test_a_channel_of_many_years_stays_small_in_an_event() -> None:
    first = made().today
    days = [
        DayFigures(first - timedelta(days=n), "settling", n % 977, n, None, None)
        for n in reversed(range(20 * 365))
    ]
    report = made(days)
    assert len(markdown_of(report, Words())) < 100_000
    assert "Older days are in the report page" in markdown_of(report, Words())


def test_markdown_takes_no_text_for_a_mark() -> None:
    assert escaped("a|b*c<d>`e`\nf") == r"a\|b\*c\<d\>\`e\` f"
    assert "<" not in escaped(HOSTILE).replace(r"\<", "")


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_marks_can_be_told_from_their_ground(colours: dict[str, str]) -> None:
    for name in ("ink", "soft", "s1", "s2", "s3", "s4", "s5", "s6"):
        assert contrast(colours[name], colours["ground"]) >= 4.5, name
    for level in range(5):
        mark = "mark" if level < pictures.DARK_LEVEL else "mark-on"
        assert contrast(colours[f"h{level}"], colours[mark]) >= 3, level
