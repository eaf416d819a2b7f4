"""SVG by hand: an element tree that escapes what it is given, and the colours of all pictures.

What belongs here: shapes, text and style. What does not: what is drawn (`pictures.py`). A picture
is `inline` in a page, which gives it the colours once, or stands alone as an image with its own;
alone it has a ground, because nobody knows what it will lie on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

# Colours have a contrast of 4.5 to their ground where they are text, of 3 where they are marks.
LIGHT: Mapping[str, str] = {
    "ground": "#ffffff",
    "ink": "#1c2128",
    "soft": "#57606a",
    "line": "#d0d7de",
    "mark": "#1c2128",
    "mark-on": "#1c2128",
    "bar": "#1a7f6b",
    "h0": "#eef1f4",
    "h1": "#c5e8dd",
    "h2": "#8fd0bd",
    "h3": "#4fae96",
    "h4": "#1a7f6b",
    "s1": "#1a7f6b",
    "s2": "#2f6fb4",
    "s3": "#4f739b",
    "s4": "#8a6d1b",
    "s5": "#6b7480",
    "s6": "#c2410c",
}
DARK: Mapping[str, str] = {
    "ground": "#15191f",
    "ink": "#e6edf3",
    "soft": "#a3adb8",
    "line": "#3a434d",
    "mark": "#e6edf3",
    "mark-on": "#0b0e12",
    "bar": "#3fb498",
    "h0": "#232a32",
    "h1": "#1d4a41",
    "h2": "#26705f",
    "h3": "#33967f",
    "h4": "#56cfb1",
    "s1": "#3fb498",
    "s2": "#5aa0e6",
    "s3": "#9db8d4",
    "s4": "#d1a93a",
    "s5": "#8b95a0",
    "s6": "#f0803c",
}
STYLE = "".join(
    [
        *(f".f-{name}{{fill:var(--{name})}}" for name in LIGHT),
        ".e{fill:none;stroke:var(--soft);stroke-width:1}",
        ".d{fill:none;stroke:var(--soft);stroke-width:1;stroke-dasharray:2 1.5}",
        ".m1,.m5{fill:none;stroke-width:1.4}.m5{stroke-width:3.6;stroke-linecap:round}",
        ".m-k{stroke:var(--mark)}.m-w{stroke:var(--mark-on)}",
        "text{font:12px system-ui,sans-serif;fill:var(--ink)}",
        ".t-soft{fill:var(--soft)}.t-small{font-size:10px}.t-bold{font-weight:600}",
        ".t-on{fill:var(--ground);font-size:10px;font-weight:600}",
    ]
)
# What a picture that stands alone has around it.
MARGIN, TITLE = 8, 22
# XML has no way to write these.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Drawing:
    """One picture.

    Args:
        width, height: in pixels, where nothing makes it smaller.
        name: unique in a page.
        title: what it shows, for whoever cannot see it.
        says: the same in more words.
    """

    def __init__(self, name: str, width: int, height: int, title: str, says: str) -> None:
        self.name = name
        self.width, self.height = width, height
        self.title, self._says = title, says
        ids = {"title": f"{name}-title", "desc": f"{name}-desc"}
        self._root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {width} {height}",
                "width": str(width),
                "height": str(height),
                "role": "img",
                "aria-labelledby": " ".join(ids.values()),
            },
        )
        for tag, text in (("title", title), ("desc", says)):
            self.add(tag, text, id=ids[tag])

    def add(self, tag: str, text: str | None = None, **attributes: Any) -> ET.Element:
        """Add an element; `cls` is its class, and an underscore stands for a hyphen."""
        element = ET.SubElement(self._root, tag)
        for name, value in attributes.items():
            key = "class" if name == "cls" else name.replace("_", "-")
            element.set(key, _writable(_short(value)))
        if text is not None:
            element.text = _writable(text)
        return element

    def tip(self, element: ET.Element, text: str) -> None:
        """Say something of an element to whoever points at it."""
        ET.SubElement(element, "title").text = _writable(text)

    def inline(self) -> str:
        """Return it as part of a page that has `STYLE` and the colours."""
        return ET.tostring(self._root, encoding="unicode")

    def alone(self) -> str:
        """Return it as an image that needs nothing around it, with its title in writing."""
        width, height = self.width + 2 * MARGIN, self.height + 2 * MARGIN + TITLE
        image = Drawing(f"{self.name}-alone", width, height, self.title, self._says)
        image.add("style", f"svg{{{theme(LIGHT)}}}{STYLE}")
        image.add("rect", width=width, height=height, rx=4, cls="f-ground")
        image.add("text", self.title, x=MARGIN, y=MARGIN + 14, cls="t-bold")
        moved = image.add("g", transform=f"translate({MARGIN},{MARGIN + TITLE})")
        moved.extend(list(self._root)[2:])
        return image.inline()

    def as_data_uri(self) -> str:
        """Return it as an address that holds the image itself."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.alone().encode()).decode()


def theme(colours: Mapping[str, str]) -> str:
    """Return colours as CSS declarations."""
    return ";".join(f"--{name}:{value}" for name, value in colours.items())


def cut(text: str, characters: int) -> str:
    """Return a text that fits into so many characters."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _short(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
