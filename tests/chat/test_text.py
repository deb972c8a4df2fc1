"""Entities by code: exact over emoji, blind to markup, and nothing invisible gets through."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import MessageEntity

from bot.chat.text import LONGEST, Text, clean

WRITERS = ("plain", "line", "bold", "italic", "code")
PARTS = st.lists(st.tuples(st.sampled_from(WRITERS), st.text(max_size=60)), max_size=12)


def units(text: str) -> int:
    """What Telegram counts: an emoji outside the basic plane is two."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def marked(text: Text) -> list[tuple[str, str]]:
    """Each entity with the characters it covers, cut out the way Telegram does."""
    raw = text.text.encode("utf-16-le")
    cut = (raw[2 * each.offset : 2 * (each.offset + each.length)].decode("utf-16-le") for each in text.entities)
    return [(each.type, piece) for each, piece in zip(text.entities, cut, strict=True)]


def test_entities_after_emoji_cover_exactly_their_words() -> None:
    """Offsets count UTF-16 units, so emoji before or inside a mark do not shift it."""
    text = Text().plain("🚀🚀 ").bold("BTC 💰").plain(" é ").code("0.5")
    assert (text.text, marked(text)) == ("🚀🚀 BTC 💰 é 0.5", [("bold", "BTC 💰"), ("code", "0.5")])


def test_add_shifts_the_entities_of_the_other_text() -> None:
    """A text added to another keeps its marks on the same words."""
    text = Text().bold("Bitget 🟢").line().add(Text().plain("free ").italic("1"))
    assert (text.text, marked(text)) == ("Bitget 🟢\nfree 1", [("bold", "Bitget 🟢"), ("italic", "1")])


def test_markup_in_a_text_stays_text() -> None:
    """Neither HTML nor Markdown in foreign words becomes an entity."""
    text = Text().plain("<b>x</b> *y* [z](https://evil.example) ").bold("_n_")
    assert marked(text) == [("bold", "_n_")]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\u202eTDSU", r"\u202eTDSU"),
        ("a\u200bb\u2060c\ufeffd", r"a\u200bb\u2060c\ufeffd"),
        ("\x00\x1b[31m\x7f", r"\u0000\u001b[31m\u007f"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("tab\there", r"tab\u0009here"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\ue0041"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_clean_characters_that_cannot_be_seen_are_shown_as_codes(hostile: str, shown: str) -> None:
    """Bidi, zero-width and control characters cannot reorder or hide anything; a new line is let through."""
    assert clean(hostile) == shown


def test_table_pads_columns_in_one_block() -> None:
    """Figures stand under each other, in one monospace block, without blanks at the end of a line."""
    text = Text().table([("Amount", "0.5 BTC"), ("Price", "60,000.00", "last")])
    assert marked(text) == [("pre", "Amount  0.5 BTC\nPrice   60,000.00  last")]
    assert text.text.endswith("last\n")


def test_empty_mark_makes_no_entity() -> None:
    """Telegram refuses an entity of length zero, so there is none."""
    assert Text().bold("").table([]).entities == []


@pytest.mark.parametrize(("character", "count"), [("x", 5000), ("💰", 5000), ("💰", 3000)])
def test_fitting_long_text_is_cut_with_its_entity(character: str, count: int) -> None:
    """A text that is too long ends in an ellipsis, half an emoji is never left, and the mark ends with the text."""
    text = Text().plain("!").bold(character * count).fitting()
    assert LONGEST - 2 <= units(text.text) <= LONGEST
    assert text.text.endswith(f"{character} …")
    assert marked(text) == [("bold", text.text[1:])]


def test_fitting_exactly_the_limit_is_left_alone() -> None:
    """The longest text that Telegram takes is not cut."""
    assert Text().plain("x" * LONGEST).fitting().text == "x" * LONGEST


def test_fitting_blank_end_goes_and_takes_its_entity_along() -> None:
    """Telegram trims blanks at the end, and refuses entities that point there."""
    text = Text().bold("a").plain(" \n").code("  ").fitting()
    assert (text.text, marked(text)) == ("a", [("bold", "a")])


@given(PARTS)
def test_any_parts_give_entities_inside_a_text_without_control_characters(parts: list[tuple[str, str]]) -> None:
    """Whatever is written, each entity lies within the text and nothing of category C but the new line is in it."""
    text = Text()
    for writer, part in parts:
        getattr(text, writer)(part)
    shown = text.fitting()
    assert {unicodedata.category(character)[0] for character in shown.text.replace("\n", "")}.isdisjoint("C")
    assert units(shown.text) <= LONGEST
    assert all(
        each.offset >= 0 and each.length > 0 and each.offset + each.length <= units(shown.text)
        for each in shown.entities
    )


@given(PARTS)
def test_any_parts_are_marked_exactly_as_written(parts: list[tuple[str, str]]) -> None:
    """Each marked word comes back from its entity as `clean` shows it."""
    text = Text()
    for writer, part in parts:
        getattr(text, writer)(part)
    kinds = {"bold": MessageEntity.BOLD, "italic": MessageEntity.ITALIC, "code": MessageEntity.CODE}
    assert marked(text) == [(kinds[writer], clean(part)) for writer, part in parts if writer in kinds and part]
