"""The compact way in which `bot/redact.py` knows its values hides what the plain way hides, and nothing else."""

from __future__ import annotations

import re
import secrets
import string
import sys
import tracemalloc
from functools import cache
from struct import Struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import redact
from bot.redact import MARK, Redactor
from tests.plain_redactor import FRAGMENT, PlainRedactor, forms_of, with_shapes_hidden
from tests.security.canaries import CANARIES

EXAMPLES, EXAMPLES_NIGHTLY, EXAMPLES_OF_A_SHAPE = 150, 20_000, 50
COUNTS = [EXAMPLES, pytest.param(EXAMPLES_NIGHTLY, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])]
BYTES_PER_PERSON = 2048
"""For key, secret, passphrase and data key, the texts themselves included."""

HOSTILE = {
    **CANARIES,
    "six": "sesame",
    "seven": "a b c d",
    "eleven": "hunter2hunt",
    "one letter": "a" * 40,
    "two letters": "ab" * 20,
    "spaces throughout": "a b c d e f g h i j k",
    "every escape": 'it\'s "5" < 6 & \\ \n\t\u00e9\u2028\U0001f600 %41+/=',
    "upper hex": "5F1E9C77B0A4D3E2815F6A0B9C8D7E6F",
    "uneven hex": "5f1e9c77b0a4d3e28",
    "hex of spaces": "20" * 16,
    "unchanged": "Az09_.~-" * 3,
}


@cache
def _every_character() -> str:
    return "".join(map(chr, (code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)))


def _knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.register(value)
    return redactor


# The same as the plain way


@pytest.mark.parametrize("kind", HOSTILE)
def test_redact_each_form_is_hidden_as_in_the_plain_way(kind: str) -> None:
    """Every encoding and every twelve characters of every kind of value, alone and within a word."""
    value = HOSTILE[kind]
    redactor = _knowing(value)
    assert [form for form in forms_of(value) if redactor.redact(form) != MARK] == []
    assert [form for form in forms_of(value) if f"é{MARK}ü" != redactor.redact(f"é{form}ü")] == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_redact_part_that_is_no_form_is_left(kind: str) -> None:
    """Of a long value, less than twelve characters in a row stay as they are, though a part of them is known."""
    value = HOSTILE[kind]
    plain, redactor = PlainRedactor(value), _knowing(value)
    parts = [value[start : start + size] for size in (8, FRAGMENT - 1) for start in range(len(value) - size)]
    assert {part: redactor.redact(part) for part in parts} == {part: plain.redact(part) for part in parts}
    if len(value) > FRAGMENT and len(set(value)) > 2:
        assert parts[-1] == redactor.redact(parts[-1])


_ANY = st.characters(exclude_categories=["Cs"])
_LETTERS = string.ascii_letters + string.digits
_VALUES = st.one_of(
    st.binary(min_size=3, max_size=35).map(bytes.hex),
    st.text("0123456789abcdefABCDEF", min_size=1, max_size=70),
    st.text(_LETTERS, min_size=1, max_size=70),
    st.text(_LETTERS + "+/=_-$.", min_size=6, max_size=70),
    st.text("aB3 \t\n\"'\\<&%+\u00e9\u00df\u0130\u2028\U0001f600", min_size=6, max_size=30),
    st.text(_ANY, min_size=6, max_size=40),
)
_ORDINARY = st.one_of(
    st.just(""),
    st.sampled_from([" ", "\n", "=", ":", "key", "sign=", "token: ", "Filled 0.25 of 0.5 at 63,999.87 USDT. "]),
    st.text(_ANY, max_size=12),
)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[str], str]:
    """Values, and a text with forms of them, parts of forms and other things."""
    values = draw(st.lists(_VALUES, min_size=1, max_size=3))
    forms = sorted({*values, *(form for value in values for form in forms_of(value))})
    parts = []
    for _ in range(draw(st.integers(1, 6))):
        form = draw(st.sampled_from(forms))
        first = draw(st.integers(0, len(form)))
        part = form[first : first + draw(st.integers(5, 16))]
        parts += [draw(_ORDINARY), draw(st.sampled_from([form, part]))]
    return values, "".join([*parts, draw(_ORDINARY)])


@pytest.mark.parametrize("count", COUNTS)
def test_redact_any_text_is_as_in_the_plain_way(count: int) -> None:
    """Whatever the values and the text, the same characters are hidden, and the same are left."""

    @settings(max_examples=count, deadline=None)
    @given(_cases())
    def check(case: tuple[list[str], str]) -> None:
        values, text = case
        assert _knowing(*values).redact(text) == PlainRedactor(*values).redact(text)

    check()


def test_redact_values_that_begin_alike_are_all_looked_for() -> None:
    """Where a window is part of several values, what follows it tells whose it is."""
    values = [f"the-same{number * 20}" for number in "123"]
    redactor = _knowing(*values)
    assert [redactor.redact(f"a {value[:FRAGMENT]} b") for value in values] == [f"a {MARK} b"] * 3


@pytest.mark.parametrize(("count", "chains"), [(600, redact._CHAINS), (30, 1)])
def test_redact_many_values_are_all_hidden(monkeypatch: pytest.MonkeyPatch, count: int, chains: int) -> None:
    """What is known of one value does not hide that of another, however many there are and share a chain."""
    monkeypatch.setattr(redact, "_CHAINS", chains)
    values = [secrets.token_urlsafe(24) for _ in range(count)]
    redactor = _knowing(*values)
    assert {redactor.redact(f"a {value[-FRAGMENT:]} b") for value in values} == {f"a {MARK} b"}


# What makes it quick and small


def test_register_person_takes_little_memory() -> None:
    """Key, secret, passphrase and data key of a person are two kilobytes, not the sixty of all their forms."""
    people = 400
    sizes = (17, 32, 6, 32)
    _knowing(*(secrets.token_hex(size) for size in sizes))
    redactor = Redactor()
    tracemalloc.start()
    for _ in range(people):
        for size in sizes:
            redactor.register(secrets.token_hex(size))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / people <= BYTES_PER_PERSON


def test_redact_text_without_a_secret_makes_no_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary texts cost a look at their long words, whatever is registered."""
    redactor = _knowing(*HOSTILE.values())
    monkeypatch.setattr(redact, "_all_forms", pytest.fail)
    text = "Accepted by the exchange at 12:03:44 UTC, id 1234567890123456789. 🟢 See /orders."
    assert redactor.redact(text) == text


def test_redact_encoded_beginning_of_a_value_makes_no_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many keys begin alike; a text with that, encoded, is not looked through for each of them."""
    redactor = _knowing(*(f"beginning-{secrets.token_hex(16)}" for _ in range(3)))
    monkeypatch.setattr(redact, "_all_forms", pytest.fail)
    text = b"beginning".hex()
    assert redactor.redact(text) == text


def test_redact_value_that_shares_a_chain_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of a value that may be in the text are the forms made."""
    monkeypatch.setattr(redact, "_CHAINS", 1)
    redactor = _knowing(*CANARIES.values())
    made = []

    def forms(value: str) -> set[str]:
        made.append(value)
        return {value}

    monkeypatch.setattr(redact, "_all_forms", forms)
    redactor.redact(CANARIES["api key"])
    assert made == [CANARIES["api key"]]


def test_register_known_value_does_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of an account are registered each time they are opened; only the first time costs."""
    redactor = _knowing(*CANARIES.values())
    monkeypatch.setattr(redact, "_windows", pytest.fail)
    for value in CANARIES.values():
        redactor.register(value)


@pytest.mark.parametrize("entries", [0, 1, 5])
def test_register_that_fails_halfway_is_done_again(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    """A value counts as known when all of it can be found, not before; what was known and what follows is hidden."""
    values = [CANARIES[kind] for kind in ("api key", "invite token", "api secret")]
    redactor = _knowing(values[0])
    with monkeypatch.context() as patch:
        patch.setattr(redact, "_ENTRY", _Short(redact._ENTRY, entries))
        with pytest.raises(MemoryError):
            redactor.register(values[1])
    for value in values[1:]:
        redactor.register(value)
    assert [redactor.redact(value) for value in values] == [MARK] * 3


class _Short:
    """Memory that lasts for a few entries."""

    def __init__(self, entry: Struct, left: int) -> None:
        self._entry = entry
        self._left = left

    def pack(self, *values: int) -> bytes:
        if not self._left:
            raise MemoryError
        self._left -= 1
        return self._entry.pack(*values)


def test_register_while_another_thread_looks_changes_nothing_under_it() -> None:
    """What a look goes through is only added to: nothing in it ever moves or changes."""
    redactor = _knowing(*CANARIES.values())
    entries = redactor._common._entries
    as_it_was = bytes(entries)
    for _ in range(100):
        redactor.register(secrets.token_hex(16))
    assert entries.startswith(as_it_was)
    assert len(entries) > len(as_it_was)


def test_register_look_between_any_two_steps_finds_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may look just before an entry can be found, and just after: all that was known is hidden."""
    monkeypatch.setattr(redact, "_CHAINS", 1)
    redactor = _knowing(CANARIES["api key"])
    seen = []

    class Watched(list[int]):
        def __setitem__(self, chain: Any, end: Any) -> None:
            seen.append(redactor.redact(CANARIES["api key"]))
            super().__setitem__(chain, end)
            seen.append(redactor.redact(CANARIES["api key"]))

    monkeypatch.setattr(redactor._common, "_ends", Watched(redactor._common._ends))
    redactor.register(CANARIES["invite token"])
    assert (set(seen), redactor.redact(CANARIES["invite token"])) == ({MARK}, MARK)


# What the quick looks rely on


@pytest.mark.parametrize("place", range(len(redact._SHAPES)))
def test_redact_whatever_has_a_shape_is_looked_at_for_it(place: int) -> None:
    """The hints of a shape are in every text that has it: asking for them first leaves nothing out."""
    (_, _, shape, _) = redact._SHAPES[place]

    @settings(max_examples=EXAMPLES_OF_A_SHAPE, deadline=None)
    @given(st.from_regex(shape, fullmatch=True), st.sampled_from(["", " ", "a", "5", "=", "'"]), st.booleans())
    def check(text: str, around: str, is_upper: bool) -> None:
        text = around + (text.upper() if is_upper else text) + around
        assert Redactor().redact(text) == with_shapes_hidden(text)

    check()


def test_shapes_letters_of_hints_fold_from_all_that_match_them() -> None:
    """What a pattern takes for a letter of a hint without regard to case is that letter in the folded text too."""
    letters = sorted({letter for hints, *_ in redact._SHAPES for hint in hints for letter in hint})
    found = {letter: re.findall(re.escape(letter), _every_character(), re.IGNORECASE) for letter in letters}
    assert [letter for letter in letters if {each.casefold() for each in found[letter]} != {letter}] == []
    assert "\u017f" in found["s"]


def test_redact_shape_in_letters_that_only_fold_is_hidden() -> None:
    """A long s is an s to a pattern without regard to case, and to the look before it."""
    assert Redactor().redact("\u017fecret 0123456789abcdef") == f"\u017fecret {MARK}"


def test_windows_space_is_the_same_to_a_pattern_and_to_split() -> None:
    """A window without a space lies within one of the words of a text, whatever kinds of space there are."""
    assert "".join(re.findall(r"\S", _every_character())) == "".join(_every_character().split())


def test_forms_value_of_unchanged_characters_has_no_escapes() -> None:
    """For letters, digits and a few signs nothing is escaped anywhere, so that need not be tried."""
    characters = "".join(redact._UNCHANGED.findall(_every_character()))
    assert set(redact._escapes(characters)) == {characters}
    assert set(_LETTERS) < set(characters)
