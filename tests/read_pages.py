"""What tests read in pages and Markdown: elements, attributes, and the texts that are in sight."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements and texts of a page; complains about what is not closed."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


class Reader(HTMLParser):
    """Collects tags, attributes, and the texts that stand inside an element that is hidden until asked for."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[tuple[str, str]] = []
        self.plain: list[str] = []
        self.in_sight: list[str] = []  # texts and attributes outside every hidden element
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open.append((tag, dict(attrs).get("class") or ""))
        if not self.hidden:
            self.in_sight += [value or "" for _, value in attrs]
        if tag in ("meta", "link", "input", "line", "rect", "circle"):
            self.open.pop()

    @property
    def hidden(self) -> bool:
        return bool({"name", "hidden-first"} & {name for _, names in self.open for name in names.split()})

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.hidden and self.open:
            self.in_sight.append(data)
            if self.open[-1][0] not in ("script", "style"):
                self.plain.append(data)


def markup_of(text: str) -> str:
    """Markdown without its fenced blocks and without the characters that a backslash makes plain (CommonMark 2.4)."""
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\\[!-/:-@\[-`{-~]", "", outside)
