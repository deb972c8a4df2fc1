"""Message text with entities built by code. No parse mode, so there is nothing to escape and nothing to inject."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from telegram import MessageEntity

LONGEST = 4096


@dataclass(slots=True)
class Text:
    """A message being written. Each method returns the text itself, so that calls can be chained."""

    text: str = ""
    entities: list[MessageEntity] = field(default_factory=list)

    def plain(self, text: str) -> Text:
        """Add plain text."""
        self.text += clean(text)
        return self

    def line(self, text: str = "") -> Text:
        """Add plain text and end the line."""
        return self.plain(text + "\n")

    def bold(self, text: str) -> Text:
        """Add bold text."""
        return self._marked(MessageEntity.BOLD, text)

    def italic(self, text: str) -> Text:
        """Add italic text."""
        return self._marked(MessageEntity.ITALIC, text)

    def code(self, text: str) -> Text:
        """Add text that a tap copies."""
        return self._marked(MessageEntity.CODE, text)

    def table(self, rows: list[tuple[str, ...]]) -> Text:
        """Add rows of figures in columns, in a monospace block, and end the line."""
        widths = [max((len(row[column]) for row in rows if len(row) > column), default=0) for column in range(3)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
        )
        return self._marked(MessageEntity.PRE, "\n".join(lines)).plain("\n")

    def add(self, other: Text) -> Text:
        """Add another text with its entities."""
        shift = _units(self.text)
        self.entities += [MessageEntity(entity.type, entity.offset + shift, entity.length) for entity in other.entities]
        self.text += other.text
        return self

    def _marked(self, kind: str, text: str) -> Text:
        shown = clean(text)
        if shown:
            self.entities.append(MessageEntity(kind, _units(self.text), _units(shown)))
        self.text += shown
        return self

    def fitting(self) -> Text:
        """Return the text without the blank end, cut to what Telegram takes."""
        text = self.text.rstrip()
        if _units(text) > LONGEST:
            start = text.encode("utf-16-le", "surrogatepass")[: 2 * (LONGEST - 2)]
            text = start.decode("utf-16-le", "ignore").rstrip() + " …"  # half an emoji is left out
        most = _units(text)
        kept = [
            MessageEntity(entity.type, entity.offset, min(entity.length, most - entity.offset))
            for entity in self.entities
            if entity.offset < most
        ]
        return Text(text, kept)


def clean(text: str) -> str:
    """Return `text` with control, bidi and invisible characters shown as their codes."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        character if character == "\n" or unicodedata.category(character)[0] != "C" else f"\\u{ord(character):04x}"
        for character in text
    )


def _units(text: str) -> int:
    """Return the length that Telegram counts: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
