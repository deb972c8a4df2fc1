import re
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.numbers import (
    format_amount,
    format_money,
    format_percent,
    format_price,
    format_typed,
    normalise,
    parse_number,
)
from bot.contract.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60000", "60000"),
        ("0.1", "0.1"),
        (".5", "0.5"),
        ("007", "7"),
        ("60k", "60000"),
        ("60K", "60000"),
        ("1.5m", "1500000"),
        ("0.0001k", "0.1"),
        ("60,000.50", "60000.50"),
        ("1,234,567", "1234567"),
        ("1,234,567.8k", "1234567800"),
        ("６０．５", "60.5"),
        ("\u00a060\u200b000\u202e ", "60000"),
        ("9" * 18 + "." + "9" * 18, "9" * 18 + "." + "9" * 18),
        ("123456789012345.123456789012345678k", "123456789012345123.456789012345678"),
    ],
)
def test_parse_number_within_the_grammar_is_exact(text: str, value: str) -> None:
    """What the grammar admits is read to its last digit."""
    assert str(parse_number(text)) == value


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("60,000", "60 or 60000"),
        ("0,1", "0.1 or 1"),
        ("1,5m", "1500000 or 15000000"),
        ("6０，０", "60 or 600"),
    ],
)
def test_parse_number_one_comma_asks_which_is_meant(text: str, readings: str) -> None:
    """A comma that could be either kind is never guessed; both readings are named."""
    with pytest.raises(UserError, match=f" mean {readings}\\?") as caught:
        parse_number(text)
    assert caught.value.code == "AMBIGUOUS_NUMBER"


@pytest.mark.parametrize("text", ["-5", "−0.5k"])
def test_parse_number_below_zero_says_so(text: str) -> None:
    """What is wrong with -5 is its minus; that it is no number would be untrue."""
    with pytest.raises(UserError, match="is below zero") as caught:
        parse_number(text)
    assert caught.value.code == "NOT_A_NUMBER"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-5",
            "+5",
            "−5",
            "NaN",
            "Infinity",
            "inf",
            "1_000",
            "1e5",
            "1E5",
            "0x10",
            "5.",
            ".",
            "1.2.3",
            "k",
            "1kk",
        ),
        *("١٢", "१२", "𝟏𝟐", "½", "60 000", "1 000", "60.000,50", "1,23,456", "0,123.5", "12,34.5", "5%", "$5", "1,2,3"),
        *("9" * 19, "1." + "1" * 19, "9" * 18 + "k", "1,000,000,000,000,000,000", "0" * 19, "9" * 200),
    ],
)
def test_parse_number_outside_the_grammar_is_refused(text: str) -> None:
    """Spellings that Python would take for numbers, foreign digits and endless digits get a short sentence."""
    with pytest.raises(UserError) as caught:
        parse_number(text)
    assert (caught.value.code, len(str(caught.value)) < 150) == ("NOT_A_NUMBER", True)


GRAMMAR = re.compile(r"(\d*\.?\d+|[1-9]\d{0,2}(,\d{3})+\.\d+|[1-9]\d{0,2}(,\d{3}){2,})[km]?", re.ASCII | re.IGNORECASE)


@given(st.text(max_size=50) | st.text("0123456789.,kKmM -_e", max_size=25))
def test_parse_number_arbitrary_text_accepts_the_grammar_only(text: str) -> None:
    """No text outside the grammar becomes a number, and nothing but a `UserError` is raised."""
    with suppress(UserError):
        value = parse_number(text)
        assert GRAMMAR.fullmatch(normalise(text))
        assert 0 <= value < 10**18


@given(st.decimals(0, 10**18 - 1, places=18, allow_nan=False))
def test_format_typed_read_back_is_the_same(value: Decimal) -> None:
    """Writing and reading an amount loses nothing."""
    assert parse_number(format_typed(value)) == value


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("ｂｕｙ　＄２５０", "buy $250"),
        ("–2% — −3%", "-2% - -3%"),
        ("“a” ‘b’ «c»", '"a" \'b\' "c"'),
        ("a\u00a0b\u202fc\t\n d", "a b c d"),
        ("b\u200bt\u202ec\ufe0f\u0000\ud800\u3164\u2066", "btc"),
        ("買 🚀", "買 🚀"),
    ],
)
def test_normalise_phone_text_is_plain_and_visible(text: str, plain: str) -> None:
    """Full-width forms, dashes, quotes and blanks become plain; what cannot be seen goes."""
    assert normalise(text) == plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.008333", "0.008333"),
        ("1E+3", "1000"),
        ("1E-18", "0.000000000000000001"),
        ("100", "100"),
        ("1.500", "1.5"),
        ("-0.0", "0"),
        ("123456789012345678.123456789012345678", "123456789012345678.123456789012345678"),
    ],
)
def test_format_typed_is_plain(value: str, text: str) -> None:
    """No exponent, no trailing zeros, no lost digits, nothing that would not be understood when it is typed."""
    assert format_typed(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("300000", "300,000"), ("1E+3", "1,000"), ("999.5", "999.5"), ("1234567.000001", "1,234,567.000001"), ("0", "0")],
)
def test_format_amount_groups_thousands(value: str, text: str) -> None:
    """As prices and money are written."""
    assert format_amount(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        ("60000", "0.01", "60,000.00"),
        ("60000", "0.0100", "60,000.00"),
        ("1234567", "1", "1,234,567"),
        ("1230", "10", "1,230"),
        ("0.00001234", "1E-8", "0.00001234"),
        ("59998.2049", "0.01", "59,998.20"),
        ("-0.001", "0.01", "0.00"),
    ],
)
def test_format_price_has_the_decimals_of_the_step(value: str, step: str, text: str) -> None:
    """A price is written like the exchange writes it, with thousands separators."""
    assert format_price(Decimal(value), Decimal(step)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("-0.0068", "-0.68%"), ("0.36", "36%"), ("0.365", "36.5%"), ("10", "1,000%"), ("-0.000001", "0%"), ("1", "100%")],
)
def test_format_percent_of_a_fraction_is_short(value: str, text: str) -> None:
    """At most two decimals, none that say nothing, no minus zero."""
    assert format_percent(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("499.98", "499.98"),
        ("1204.119", "1,204.11"),
        ("-16.67", "-16.67"),
        ("7.4", "7.40"),
        ("9.9999", "9.99"),
        ("0", "0.00"),
        ("0.5", "0.50"),
        ("0.123456", "0.1234"),
        ("0.000012345", "0.00001234"),
        ("-0.000000001", "0.00"),
    ],
)
def test_format_money_never_shows_more_than_there_is(value: str, text: str) -> None:
    """Rounded towards zero; small sums keep the digits that tell them apart."""
    assert format_money(Decimal(value)) == text
