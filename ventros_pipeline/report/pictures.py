"""The pictures of a report, drawn from its figures.

What belongs here: what is drawn where. What does not: how it is written (`drawing.py`). Every
picture is narrow enough for a phone and shows its figures in writing; nothing is told by colour
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.report.drawing import Drawing, cut
from ventros_pipeline.report.figures import STATES, DayFigures, Report
from ventros_pipeline.report.words import WEEKDAYS, Words

WIDTH = 340
CELL, PITCH, LEFT, TOP = 10, 12, 14, 34
LEVELS = 4
# From this shade on a mark takes the other colour.
DARK_LEVEL = 3
OUTCOMES = COUNTS[1:]
# The newest runs of an import that are drawn.
MOST_RUNS = 24


def calendar(
    report: Report, words: Words, *, halves: int | None = None, tips: bool = False
) -> list[Drawing]:
    """Return half a year a picture, the oldest first, each day by its messages and its coverage.

    Args:
        halves: only the newest so many.
        tips: whether each day says its figures to whoever points at it.
    """
    steps = _steps([found.messages for found in report.days])
    parts: dict[tuple[int, int], list[DayFigures]] = {}
    for found in report.days:
        parts.setdefault((found.day.year, (found.day.month - 1) // 6), []).append(found)
    newest = sorted(parts)[-halves:] if halves else sorted(parts)
    return [_half_year(part, parts[part], steps, words, tips=tips) for part in newest]


def legend(words: Words) -> Drawing:
    """Return what the marks and shades of the calendar mean."""
    height = 22 * len(STATES) + 30
    drawing = Drawing(
        "legend", WIDTH, height, words.say("state"), "; ".join(_meanings(words).values())
    )
    for row, (state, means) in enumerate(_meanings(words).items()):
        y = 22 * row + 6
        _cells(drawing, [(state, 2, 2, y)])
        drawing.add("text", words.name("state", state), x=22, y=y + 9, cls="t-bold")
        drawing.tip(drawing.add("rect", x=0, y=y - 4, width=WIDTH, height=20, opacity=0), means)
    y = height - 18
    drawing.add("text", words.say("days.less"), x=112, y=y + 9, text_anchor="end", cls="t-soft")
    for level in range(LEVELS + 1):
        drawing.add(
            "rect", x=120 + PITCH * level, y=y, width=CELL, height=CELL, rx=2, cls=f"f-h{level}"
        )
    drawing.add("text", words.say("days.more"), x=188, y=y + 9, cls="t-soft")
    return drawing


def balance(report: Report, words: Words) -> Drawing:
    """Return what became of every row that was seen, as one stacked bar and its figures."""
    parts = [(name, report.balance[name]) for name in OUTCOMES]
    seen = report.balance["seen"]
    height = 62 + 22 * len(parts)
    says = words.say("balance.closes" if report.closes else "balance.open")
    stored = words.say("balance.says", n=seen, stored=report.in_crm)
    drawing = Drawing("balance", WIDTH, height, words.say("balance"), f"{stored} {says}")
    x = 0.0
    whole = sum(rows for _, rows in parts)
    scale = _scale([rows for _, rows in parts], WIDTH)
    for number, (name, rows) in enumerate(parts, start=1):
        width = scale[number - 1]
        if rows:
            bar = drawing.add(
                "rect", x=x, y=4, width=max(width - 1, 1.0), height=24, cls=f"f-s{number}"
            )
            drawing.tip(bar, f"{words.name('count', name)}: {words.show(rows)}")
            if width > 12:
                drawing.add(
                    "text", str(number), x=x + width / 2, y=20, text_anchor="middle", cls="t-on"
                )
            x += width
    if not whole:
        drawing.add("rect", x=0.5, y=4.5, width=WIDTH - 1, height=23, cls="d")
    for number, (name, rows) in enumerate(parts, start=1):
        y = 32 + 22 * number
        drawing.add("rect", x=0, y=y - 13, width=16, height=16, rx=3, cls=f"f-s{number}")
        drawing.add("text", str(number), x=8, y=y - 1.5, text_anchor="middle", cls="t-on")
        drawing.add("text", words.name("count", name), x=24, y=y)
        figures = f"{words.show(rows)}  ({words.share(rows, seen)})"
        drawing.add("text", figures, x=WIDTH, y=y, text_anchor="end")
    drawing.add("text", says, x=0, y=height - 6, cls="t-bold")
    return drawing


def kinds(report: Report, words: Words) -> Drawing:
    """Return messages by kind."""
    return _bars("kind", words.say("kind"), report.breakdown.get("kind", {}), "kind", words)


def directions(report: Report, words: Words) -> Drawing:
    """Return messages by who sent them."""
    counts = report.breakdown.get("direction", {})
    return _bars("direction", words.say("direction"), counts, "direction", words)


def statuses(report: Report, words: Words) -> Drawing:
    """Return what became of the messages that we sent."""
    return _bars("status", words.say("status"), report.breakdown.get("status", {}), "status", words)


def people(report: Report, words: Words) -> Drawing:
    """Return people by what says who they are."""
    return _bars("people", words.say("people"), report.people, "people", words)


def sessions(report: Report, words: Words) -> Drawing:
    """Return sessions by how many messages they hold."""
    return _bars("sessions", words.say("sessions"), report.sessions, "sessions", words)


def progress(report: Report, words: Words) -> Drawing | None:
    """Return how far the import is, that runs or ran last, and how fast its runs were."""
    plan = report.plan
    if plan is None:
        return None
    runs = report.runs[-MOST_RUNS:]
    chart = 78 if runs else 0
    ahead = max(plan.days_total - plan.days_done, 0)
    says = f"{words.show(plan.days_done)} {words.say('import.done')}, {words.show(ahead)} " + (
        words.say("import.ahead")
    )
    drawing = Drawing("progress", WIDTH, 50 + chart, words.say("import"), says)
    done = WIDTH * min(plan.days_done / plan.days_total, 1.0) if plan.days_total else 0.0
    drawing.add("rect", x=0.5, y=4.5, width=WIDTH - 1, height=17, rx=3, cls="e")
    if done:
        drawing.add("rect", x=0, y=4, width=done, height=18, rx=3, cls="f-bar")
    drawing.add("text", says, x=0, y=40)
    if runs:
        _columns(drawing, [run.rate for run in runs], words, top=54, height=chart - 8)
    return drawing


def every(report: Report, words: Words) -> Iterator[Drawing]:
    """Return all pictures but the calendar, in the order in which they are told."""
    yield balance(report, words)
    found = progress(report, words)
    if found is not None:
        yield found
    yield from (part(report, words) for part in (kinds, directions, statuses, people, sessions))


def _half_year(
    part: tuple[int, int],
    days: Sequence[DayFigures],
    steps: Sequence[int],
    words: Words,
    *,
    tips: bool,
) -> Drawing:
    year, half = part
    first = date(year, 6 * half + 1, 1)
    monday = first - timedelta(days=first.weekday())
    shown = words.show((days[0].day, days[-1].day))
    counted = {state: sum(found.state == state for found in days) for state in STATES}
    says = ", ".join(
        f"{words.name('state', state)}: {words.show(number)}"
        for state, number in counted.items()
        if number
    )
    messages = words.say("days.messages", n=sum(found.messages for found in days))
    drawing = Drawing(
        f"days-{year}-{half + 1}", WIDTH, TOP + 7 * PITCH + 2, shown, f"{messages}; {says}"
    )
    drawing.add("text", str(year), x=LEFT, y=12, cls="t-bold")
    drawing.add("text", messages, x=WIDTH, y=12, text_anchor="end", cls="t-soft")
    for month in range(6 * half + 1, 6 * half + 7):
        column = (date(year, month, 1) - monday).days // 7
        drawing.add(
            "text", words.month(month), x=LEFT + PITCH * column, y=TOP - 6, cls="t-soft t-small"
        )
    for row in (0, 2, 4):
        letter = WEEKDAYS[words.language][row]
        drawing.add("text", letter, x=0, y=TOP + PITCH * row + 9, cls="t-soft t-small")
    cells = []
    for found in days:
        ago = (found.day - monday).days
        x, y = LEFT + PITCH * (ago // 7), TOP + PITCH * (ago % 7)
        cells.append((found.state, _level(found.messages, steps), x, y))
    _cells(drawing, cells)
    if tips:
        _tips(drawing, zip(days, cells, strict=True), words)
    return drawing


def _tips(
    drawing: Drawing, cells: Iterable[tuple[DayFigures, tuple[str, int, int, int]]], words: Words
) -> None:
    """Say each day's figures to whoever points at it."""
    for found, (_, _, x, y) in cells:
        state = words.name("state", found.state)
        text = words.say("days.one", day=found.day, n=found.messages, state=state)
        drawing.tip(drawing.add("rect", x=x, y=y, width=CELL, height=CELL, opacity=0), text)


def _cells(drawing: Drawing, cells: Sequence[tuple[str, int, int, int]]) -> None:
    """Draw days given as (state, level, x, y): the shade tells messages, the mark the coverage.

    A cross is unknown, a stroke is reading, a dot is settling, nothing is settled, a frame is
    exhausted. What looks alike is one path: a picture holds half a year in a few kilobytes.
    """
    shades: dict[int, list[str]] = {}
    marks: dict[str, list[str]] = {}
    for state, level, x, y in cells:
        shades.setdefault(level, []).append(f"M{x} {y}h{CELL}v{CELL}h-{CELL}z")
        mark = "k" if level < DARK_LEVEL else "w"
        if state == "unknown":
            path = f"M{x + 2} {y + 2}l6 6m0-6l-6 6"
        elif state == "reading":
            path = f"M{x + 2} {y + 8}l6-6"
        elif state == "settling":
            path = f"M{x + 5} {y + 5}h.01"
        elif state == "exhausted":
            path = f"M{x + 1} {y + 1}h8v8h-8z"
        else:
            continue
        weight = "m5" if state == "settling" else "m1"
        marks.setdefault(f"{weight} m-{mark}", []).append(path)
    for level, paths in sorted(shades.items()):
        drawing.add("path", d="".join(paths), cls=f"f-h{level}")
    for name, paths in sorted(marks.items()):
        drawing.add("path", d="".join(paths), cls=name)


def _bars(name: str, title: str, counts: Mapping[str, int], group: str, words: Words) -> Drawing:
    whole, most = sum(counts.values()), max(counts.values(), default=0)
    height = max(34 * len(counts), 24) + 2
    says = "; ".join(f"{words.name(group, n)}: {words.show(c)}" for n, c in counts.items())
    drawing = Drawing(name, WIDTH, height, title, says or words.say("nothing"))
    if not counts:
        drawing.add("text", words.say("nothing"), x=0, y=16, cls="t-soft")
    for row, (value, count) in enumerate(counts.items()):
        y = 34 * row
        drawing.add("text", cut(words.name(group, value), 34), x=0, y=y + 14)
        figures = f"{words.show(count)}  ({words.share(count, whole)})"
        drawing.add("text", figures, x=WIDTH, y=y + 14, text_anchor="end")
        drawing.add("rect", x=0, y=y + 19, width=WIDTH, height=7, rx=3, cls="f-h0")
        drawing.add(
            "rect", x=0, y=y + 19, width=max(WIDTH * count / most, 2.0), height=7, rx=3, cls="f-bar"
        )
    return drawing


def _columns(
    drawing: Drawing, rates: Sequence[float], words: Words, *, top: int, height: int
) -> None:
    drawing.add("text", words.say("import.runs"), x=0, y=top + 8, cls="t-soft t-small")
    most = max(rates) or 1.0
    drawing.add(
        "text", words.show(most), x=WIDTH, y=top + 8, text_anchor="end", cls="t-soft t-small"
    )
    room, base = WIDTH / max(len(rates), 6), top + height
    for number, rate in enumerate(rates):
        tall = max((height - 16) * rate / most, 1.0)
        column = drawing.add(
            "rect", x=room * number, y=base - tall, width=room - 3, height=tall, cls="f-bar"
        )
        drawing.tip(column, words.show(rate))
    drawing.add("rect", x=0, y=base, width=WIDTH, height=1, cls="f-line")


def _scale(parts: Sequence[int], width: float) -> list[float]:
    """Return how wide each part is drawn: in proportion, but wide enough to be seen."""
    whole = sum(parts)
    if not whole:
        return [0.0] * len(parts)
    least = 4.0
    widths = [max(width * part / whole, least) if part else 0.0 for part in parts]
    excess = sum(widths) - width
    largest = widths.index(max(widths))
    widths[largest] -= excess
    return widths


def _steps(counts: Sequence[int]) -> list[int]:
    """Return from how many messages on a day is of the second, third and darkest shade."""
    filled = sorted(count for count in counts if count)
    if not filled:
        return []
    return [filled[len(filled) * part // LEVELS] for part in range(1, LEVELS)]


def _level(messages: int, steps: Sequence[int]) -> int:
    return 1 + sum(messages > step for step in steps) if messages else 0


def _meanings(words: Words) -> dict[str, str]:
    return {
        state: f"{words.name('state', state)}: {words.say(f'state.{state}.means')}"
        for state in STATES
    }
