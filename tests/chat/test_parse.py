import unicodedata
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.parse import parse_order, parse_pair
from bot.contract.errors import UserError
from bot.trading.intent import Amount, Fixed, Intent, Maximum, Offset, Percent, Price, Reference, Size


def amount(value: str, asset: str | None = None) -> Amount:
    return Amount(Decimal(value), asset)


def fixed(value: str) -> Fixed:
    return Fixed(Decimal(value))


@pytest.mark.parametrize(
    ("text", "pair", "size"),
    [
        ("", None, None),
        ("btc", "BTC", None),
        ("btc/usdt", "BTC/USDT", None),
        ("btcusdt 0.1", "BTCUSDT", amount("0.1")),
        ("BTC-USDT 0.1btc", "BTC/USDT", amount("0.1", "BTC")),
        ("btc_usdt $250", "BTC/USDT", amount("250", "$")),
        ("btc 250$", "BTC", amount("250", "$")),
        ("btc:usdt 250usdt", "BTC/USDT", amount("250", "USDT")),
        ("0.1 btc/usdt", "BTC/USDT", amount("0.1")),
        ("btc 25%", "BTC", Percent(Decimal(25))),
        ("btc 25 %", "BTC", Percent(Decimal(25))),
        ("MAX btc", "BTC", Maximum()),
        ("btc usdt max", "BTC/USDT", Maximum()),
        ("0.1 btc usdt", "BTC/USDT", amount("0.1")),
        ("btc 250 usdt", "BTC", amount("250", "USDT")),
        ("250 usdt btc", "BTC", amount("250", "USDT")),
        ("eth/btc 0.5 btc", "ETH/BTC", amount("0.5", "BTC")),
        ("0.1btc", None, amount("0.1", "BTC")),
        ("1inch/usdt 5k", "1INCH/USDT", amount("5000")),
        ("1inch 50", "1INCH", amount("50")),
        ("50 1inch", "1INCH", amount("50")),
        ("btc 1,234,567.5usdt", "BTC", amount("1234567.5", "USDT")),
        ("１．５ｋ　ｂｔｃ／ｕｓｄｔ", "BTC/USDT", amount("1500")),
        ("b\u200btc \u202e0.1", "BTC", amount("0.1")),
    ],
)
def test_parse_order_pair_and_size_in_any_spelling(text: str, pair: str | None, size: Size | None) -> None:
    """Pair and size are found in either order; what is missing stays open."""
    assert parse_order("buy", text) == Intent("buy", pair, size)


@pytest.mark.parametrize(
    ("text", "price", "stop"),
    [
        ("@60000", fixed("60000"), None),
        ("@ 60k", fixed("60000"), None),
        ("at 60,000.50", fixed("60000.50"), None),
        ("@ $60k", fixed("60000"), None),
        ("@ -2%", Offset(Decimal(-2)), None),
        ("@ –0.5%", Offset(Decimal("-0.5")), None),
        ("@+1%", Offset(Decimal(1)), None),
        ("@ bid", Reference("bid"), None),
        ("@ASK", Reference("ask"), None),
        ("at mid", Reference("mid"), None),
        ("stop 59000", None, fixed("59000")),
        ("stop 59000 @ 58900", fixed("58900"), fixed("59000")),
        ("stop -3% @58k", fixed("58000"), Offset(Decimal(-3))),
    ],
)
def test_parse_order_prices(text: str, price: Price | None, stop: Price | None) -> None:
    """A price may be fixed, relative to the last one or taken from the book; a stop may have a limit price."""
    expected = Intent("sell", "BTC/USDT", amount("0.1"), price, stop)
    assert parse_order("sell", f"btc/usdt 0.1 {text}") == expected
    assert parse_order("sell", f"{text} 0.1 btc/usdt") == expected


def test_parse_order_price_glued_to_the_size_is_read() -> None:
    """`0.1@60k` needs no spaces."""
    assert parse_order("buy", "btc 0.1@60k") == Intent("buy", "BTC", amount("0.1"), fixed("60000"))


def test_parse_order_every_part_is_kept() -> None:
    """Flags, label and note come through, whatever their order."""
    parts = ["btc/usdt 0.1", "@ 60k", "stop 59k", "post", "IOC", "on Main", "note “don’t  tp 5 @ 6”"]
    expected = Intent(
        "buy",
        "BTC/USDT",
        amount("0.1"),
        fixed("60000"),
        fixed("59000"),
        post_only=True,
        time_in_force="IOC",
        account="Main",
        note="don't tp 5 @ 6",
    )
    assert [parse_order("buy", " ".join(order)) for order in (parts, parts[::-1])] == [expected, expected]


def test_parse_order_fok_and_quoted_label_are_read() -> None:
    """A label with a space stands in quotes."""
    expected = Intent("buy", "BTC", time_in_force="FOK", account="my main")
    assert parse_order("buy", 'btc fok on "my main"') == expected


EXAMPLE = " For example: /buy btc/usdt 0.1 @ 60000"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("btc hello 0.1", "SYNTAX", 'I do not understand "hello".' + EXAMPLE),
        ("hello world 0.1", "SYNTAX", 'I do not understand "world".' + EXAMPLE),
        ("btc usdt max usdt", "SYNTAX", 'I do not understand "usdt".' + EXAMPLE),
        ("btc 5usdt eur", "SYNTAX", 'I do not understand "eur".' + EXAMPLE),
        ("btc eth 0.1", "SYNTAX", 'I do not understand "eth".' + EXAMPLE),
        ("買 btc", "SYNTAX", 'I do not understand "買".' + EXAMPLE),
        ('"btc" 1', "SYNTAX", 'I do not understand ""btc"".' + EXAMPLE),
        ("btc ?!", "SYNTAX", 'I do not understand "?!".' + EXAMPLE),
        ("btc 1 2", "SYNTAX", 'Is "1" or "2" the amount?' + EXAMPLE),
        ("5k 10", "SYNTAX", 'Is "5k" or "10" the amount?' + EXAMPLE),
        ("btc @60 @70", "SYNTAX", "I found two of these: a price." + EXAMPLE),
        ("btc stop 5 stop 6", "SYNTAX", "I found two of these: a stop." + EXAMPLE),
        ("btc ioc fok", "SYNTAX", "I found two of these: ioc or fok." + EXAMPLE),
        ("btc 0.1 @", "SYNTAX", 'Something is missing after "@".' + EXAMPLE),
        ("btc 0.1 stop", "SYNTAX", 'Something is missing after "stop".' + EXAMPLE),
        ("btc on", "SYNTAX", 'Something is missing after "on".' + EXAMPLE),
        ("btc on @ 5", "SYNTAX", 'Which account? Write its label after "on".' + EXAMPLE),
        ("btc note fun", "SYNTAX", 'Put the note in quotes: note "my reason".' + EXAMPLE),
        ("0.1 @ 60000 usdt", "SYNTAX", 'Please write the price without "usdt": @ 60000.' + EXAMPLE),
        ('btc note "x', "SYNTAX", 'A quotation mark is missing: write note "my reason".'),
        ("btc 0,1", "AMBIGUOUS_NUMBER", 'Does "0,1" mean 0.1 or 1? Please write it without the comma.'),
        (
            "btc @ 60 500",
            "AMBIGUOUS_NUMBER",
            'Is "60 500" one number or two? Please write it without the space: 60500.',
        ),
        (
            "btc 60 000usdt",
            "AMBIGUOUS_NUMBER",
            'Is "60 000usdt" one number or two? Please write it without the space: 60000usdt.',
        ),
        ("b" * 201, "TOO_LONG", "That is too long: at most 200 characters are read."),
    ],
)
def test_parse_order_not_understood_says_why(text: str, code: str, message: str) -> None:
    """A word that is not understood is named; nothing is guessed and nothing is left out silently."""
    with pytest.raises(UserError) as caught:
        parse_order("buy", text)
    assert (caught.value.code, str(caught.value)) == (code, message)


@pytest.mark.parametrize(
    "size", ["1e5", "1E5", "0x10", "1_000", "-5", "+5", "١٢", "$250usdt", "5%%", "5 %%", "1.2.3", "$", "5-btc", "½"]
)
def test_parse_order_size_outside_the_grammar_is_refused(size: str) -> None:
    """Nothing but a plain positive number becomes an amount."""
    with pytest.raises(UserError, match=r"is not a number|is below zero|I do not understand"):
        parse_order("buy", f"btc/usdt {size}")


@pytest.mark.parametrize("price", ["2%", "--2%", "nan", "60e3", "bid+1", "@", "", "-60000"])
def test_parse_order_price_outside_the_grammar_is_refused(price: str) -> None:
    """Nothing but a number, an offset or a side of the book becomes a price."""
    with pytest.raises(UserError):
        parse_order("buy", f"btc/usdt 0.1 @ {price}")


def test_parse_order_stop_at_the_bid_is_refused() -> None:
    """A trigger is a price or an offset; a trigger at the bid would fire at once."""
    with pytest.raises(UserError, match='"bid" is not a number'):
        parse_order("sell", "btc 0.1 stop bid")


@pytest.mark.parametrize("part", ["tp 63000", "SL 58k", "sl -3%", "trail 2%", "risk 1%", "until 18:00"])
def test_parse_order_part_not_built_yet_is_refused(part: str) -> None:
    """A protection that would not be set is never dropped silently."""
    with pytest.raises(UserError, match=f'^"{part[:2].lower()}.*" \\(.+\\) is not available yet') as caught:
        parse_order("buy", f"btc/usdt 0.1 {part}")
    assert caught.value.code == "NOT_YET"


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("btc", "BTC"),
        ("btc/usdt", "BTC/USDT"),
        ("BTC－USDT", "BTC/USDT"),
        ("btc usdt", "BTC/USDT"),
        ("btcusdt", "BTCUSDT"),
    ],
)
def test_parse_pair_any_spelling_is_upper_case(text: str, pair: str) -> None:
    """The spellings of /buy work for /price too."""
    assert parse_pair(text) == pair


@pytest.mark.parametrize("text", ["", "btc 0.1", "0.1", "btc eth", "max", "b" * 201, '"', "btc/usdt/eur"])
def test_parse_pair_anything_else_is_refused(text: str) -> None:
    """One pair and nothing else."""
    with pytest.raises(UserError):
        parse_pair(text)


PIECES = st.sampled_from(
    [
        *("btc", "btc/usdt", "usdt", "0.1", "60k", "$250", "25%", "max", "@", "at", "stop", "post", "ioc", "fok", "on"),
        *("note", '"', '"x"', "-2%", "bid", "0,1", "1inch", "tp", "\u202e", "\u200b", "60 000", "١٢", "1e5", "-", "/"),
    ]
)


@given(st.text(max_size=210) | st.lists(PIECES, max_size=12).map(" ".join) | st.lists(PIECES, max_size=12).map("".join))
def test_parse_order_arbitrary_text_is_an_intent_or_a_sentence(text: str) -> None:
    """Nothing but a `UserError` is raised, no hidden character passes, and the intent survives storage."""
    try:
        intent = parse_order("buy", text)
    except UserError as error:
        shown = str(error)
    else:
        shown = f"{intent.pair} {intent.account} {intent.note}"
        assert Intent.from_json(intent.to_json()) == intent
    assert [character for character in shown if unicodedata.category(character)[0] == "C"] == []


@given(st.text(max_size=210))
def test_parse_pair_arbitrary_text_raises_user_errors_only(text: str) -> None:
    """What comes back is spelled like a pair."""
    with suppress(UserError):
        assert parse_pair(text).replace("/", "", 1).isalnum()
