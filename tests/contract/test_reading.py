"""What plugins share: numbers and rows of replies, books, states, looks and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import (
    Base,
    Capabilities,
    Flow,
    Market,
    Number,
    Order,
    OrderBook,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Request,
    Response,
    Row,
    UserError,
    book_of,
    find_by_client_id,
    if_known,
    known,
    pages,
    plain,
    refuse_undeclared,
    side_of,
    state_of,
    step_of,
)
from bot.testing.drive import drive, reply

D = Decimal
STEP = D("0.01")
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=STEP,
    quantity_step=STEP,
    quote_step=STEP,
)
LIMIT = Order(client_order_id="bot-1", market=BTC, side="buy", type="limit", size=Base(D(1)), price=D(5))
BUY = Order(client_order_id="bot-2", market=BTC, side="buy", type="market", size=Quote(D(50)))
STOP = replace(LIMIT, type="stop_limit", stop_price=D(6))


class Coin(Row, rename="camel"):
    free_amount: Decimal
    locked_amount: Number = None
    fee_rate: Number = None
    detail: msgspec.Raw = msgspec.Raw()


def read(text: str) -> Coin:
    return Response(200, {}, text.encode()).decode(Coin)


# Numbers


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('"0.10"', D("0.10")),
        ("34567.15", D("34567.15")),
        ("0.12345678901234567890123", D("0.12345678901234567890123")),
        ("-0.112079256", D("-0.112079256")),
        ('"1E-7"', D("1E-7")),
        ("7", D(7)),
        ('""', None),
        ("null", None),
    ],
)
def test_number_every_spelling_is_read_exactly(sent: str, expected: Decimal | None) -> None:
    """Text, bare numbers, empty text and null are all seen; no digit is lost."""
    found = read(f'{{"freeAmount":"1","lockedAmount":{sent}}}')
    assert (found.free_amount, found.locked_amount, found.fee_rate) == (D(1), expected, None)


@pytest.mark.parametrize("sent", ['"abc"', '"NaN"', '"-Infinity"', '"sNaN"', "{}", "[1]", "true"])
def test_number_garbage_is_an_error_that_names_the_field(sent: str) -> None:
    """What is no number is never taken for one, and never for none."""
    with pytest.raises(OutcomeUnknown, match="locked_amount is not a number"):
        read(f'{{"freeAmount":"1","lockedAmount":{sent}}}')


@pytest.mark.parametrize("text", ["{}", '{"freeAmount":""}', '{"freeAmount":null}', '{"freeAmount":"NaN"}'])
def test_decimal_that_is_missing_or_not_finite_is_an_error(text: str) -> None:
    """A plain `Decimal` must be there."""
    with pytest.raises(OutcomeUnknown, match="unexpected shape"):
        read(text)


def test_number_other_raw_fields_stay_as_they_are() -> None:
    """A field that a plugin reads later, leniently, is not taken for a number."""
    assert read('{"freeAmount":"1","detail":{"a":[1]}}').detail == msgspec.Raw(b'{"a":[1]}')


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_number_keeps_every_digit(value: Decimal) -> None:
    """Through text and back nothing changes."""
    sent = json.dumps({"freeAmount": str(value), "lockedAmount": str(value)})
    found = read(sent)
    assert (str(found.free_amount), str(found.locked_amount)) == (str(value), str(value))


@pytest.mark.parametrize("decimals", [2, "2", D(2)])
def test_step_of_decimals_in_any_type_is_their_last_digit(decimals: Any) -> None:
    """Two decimals are steps of a hundredth."""
    assert step_of(decimals) == STEP


@pytest.mark.parametrize("decimals", [-1, 31, "many", "", "0.5", D("NaN"), D("Infinity")])
def test_step_of_no_number_of_decimals_is_an_error(decimals: Any) -> None:
    """A rule that cannot be read must not be guessed."""
    with pytest.raises(OutcomeUnknown, match="where a number of decimals belongs"):
        step_of(decimals)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12, places=12))
def test_plain_any_number_has_no_exponent_and_no_loss(value: Decimal) -> None:
    """`str` would write 1E-7, which exchanges read as something else or not at all."""
    text = plain(value)
    assert (set(text) <= set("0123456789."), Decimal(text)) == (True, value)


# Words and books


def test_book_of_levels_keeps_price_and_quantity() -> None:
    """What follows the first two of a level does not matter."""
    assert book_of([[D(5), D(1), []], (D(4), D(2))], []) == OrderBook(bids=((D(5), D(1)), (D(4), D(2))), asks=())


@pytest.mark.parametrize("level", [[], [D(5)], [D(5), "1"], [None, D(1)], [D("NaN"), D(1)], [D(1), D("Infinity")]])
def test_book_of_level_without_price_or_quantity_is_an_error(level: list[object]) -> None:
    """On either side."""
    for bids, asks in (([level], []), ([], [level])):
        with pytest.raises(OutcomeUnknown, match="order book"):
            book_of(bids, asks)


def test_side_of_either_word_is_known_in_any_case() -> None:
    """Exchanges write them in capitals or not."""
    assert [side_of(word) for word in ("BUY", "Sell", "buy")] == ["buy", "sell", "buy"]


@pytest.mark.parametrize("word", ["", "hold", "BUY_LIMIT"])
def test_side_of_another_word_is_an_error(word: str) -> None:
    """A side is never guessed."""
    with pytest.raises(OutcomeUnknown, match="neither buys nor sells"):
        side_of(word)


STATES: Any = {"live": "open", "part": "partially_filled", "done": "filled", "gone": "canceled"}


@pytest.mark.parametrize(
    ("word", "filled", "expected"),
    [
        ("live", 0, "open"),
        ("live", 1, "partially_filled"),
        ("part", 1, "partially_filled"),
        ("done", 1, "filled"),
        ("gone", 1, "canceled"),
    ],
)
def test_state_of_open_order_with_fills_is_partially_filled(word: str, filled: int, expected: str) -> None:
    """Only an open order changes its name by what was filled."""
    assert state_of(STATES, word, D(filled)) == expected


@pytest.mark.parametrize("word", ["melting", "", "LIVE", None])
def test_state_of_unknown_word_is_an_error_that_tells_it(word: str | None) -> None:
    """An order whose state is not understood is in doubt, not closed."""
    with pytest.raises(OutcomeUnknown, match=f"does not know: {str(word)!r}"):
        state_of(STATES, word, D(0))


# Looking


def ask(number: int) -> Request:
    return Request.get("/list", {"page": number})


def take(response: Response, rows: list[int]) -> Request | None:
    found = response.json()
    rows += found
    return ask(len(rows)) if len(found) == 2 else None


def test_pages_are_asked_for_until_there_is_no_next() -> None:
    """Each reply says whether another follows, and the rows add up."""
    driven = drive(pages(ask(0), take, most=3), reply([1, 2]), reply([3]))
    assert (driven.result, driven.requests) == ([1, 2, 3], [ask(0), ask(2)])


def test_pages_of_a_list_too_long_are_cut_or_refused() -> None:
    """Where the whole list is needed, a part of it is no answer."""
    full = [reply([1, 2]), reply([3, 4])]
    assert drive(pages(ask(0), take, most=2), *full).result == [1, 2, 3, 4]
    with pytest.raises(OutcomeUnknown, match="more than 4 orders"):
        drive(pages(ask(0), take, most=2, whole=True), *full)


def report(client_order_id: str) -> OrderReport:
    return OrderReport(
        exchange_order_id="1",
        client_order_id=client_order_id,
        exchange_symbol="BTCUSDT",
        side="buy",
        type="limit",
        state="open",
        filled=D(0),
    )


def look(path: str) -> Flow[list[OrderReport]]:
    return [report(each) for each in (yield Request.get(path)).json()]


GONE = OrderNotFound("no such order")


def search(*replies: Any) -> tuple[OrderReport | None, list[str]]:
    driven = drive(find_by_client_id(LIMIT, look("/id"), look("/open"), look("/done")), *replies)
    return driven.result, [each.path for each in driven.requests]


def test_find_by_client_id_stops_at_the_first_list_that_has_it() -> None:
    """Nothing more is asked than is needed."""
    assert search(reply(["other"]), reply(["other", "bot-1"])) == (report("bot-1"), ["/id", "/open"])


@pytest.mark.parametrize("miss", [GONE, reply([]), reply(["other", ""])])
def test_find_by_client_id_in_no_list_is_none(miss: Any) -> None:
    """Absence takes all lists; an order of another id is never taken for ours."""
    assert search(miss, miss, miss) == (None, ["/id", "/open", "/done"])


@pytest.mark.parametrize("position", [0, 1, 2])
def test_find_by_client_id_error_in_any_list_passes(position: int) -> None:
    """A list that could not be read proves no absence."""
    with pytest.raises(OutcomeUnknown, match="502"):
        search(*[reply([])] * position, OutcomeUnknown("502"))


def test_if_known_only_not_found_is_none() -> None:
    """Whatever else goes wrong passes."""
    assert drive(if_known(look("/id")), GONE).result is None
    assert drive(if_known(look("/id")), reply([])).result == []
    with pytest.raises(OutcomeUnknown):
        drive(if_known(look("/id")), OutcomeUnknown("502"))


def test_known_what_was_found_comes_back_and_nothing_is_not_found() -> None:
    """An empty list was found, too."""
    assert known([], "Acme") == []
    with pytest.raises(OrderNotFound, match="Acme knows no such order") as caught:
        known(None, "Acme")
    assert caught.value.remedy == "Look at your orders on Acme."


# Refusing

CAN = Capabilities(
    order_types=frozenset({"limit", "market", "stop_limit"}),
    times_in_force=frozenset({"GTC", "IOC"}),
    post_only=True,
    market_buy_in=frozenset({"quote"}),
)
BARE = Capabilities(order_types=frozenset({"limit", "market"}), market_buy_in=frozenset({"base"}))


def accepted() -> Iterator[tuple[Order, Capabilities]]:
    yield from ((each, CAN) for each in (LIMIT, BUY, STOP, replace(LIMIT, time_in_force="IOC")))
    yield replace(LIMIT, post_only=True), CAN
    yield replace(BUY, side="sell", size=Base(D(1))), CAN
    yield replace(BUY, size=Base(D(1))), BARE
    yield BUY, replace(BARE, market_buy_in=frozenset({"base", "quote"}))
    spend = replace(BUY, type="stop_market", stop_price=D(6))
    yield spend, replace(CAN, order_types=frozenset({"stop_market"}))


@pytest.mark.parametrize(("order", "can"), list(accepted()))
def test_refuse_undeclared_lets_a_declared_order_pass(order: Order, can: Capabilities) -> None:
    """Each type, unit and flag that is declared."""
    refuse_undeclared(order, "Acme", can)


@pytest.mark.parametrize(
    ("order", "can", "code", "text"),
    [
        (STOP, BARE, "UNSUPPORTED", "Acme takes limit and market orders only"),
        (replace(LIMIT, post_only=True), BARE, "UNSUPPORTED", "post-only not at all"),
        (replace(STOP, post_only=True), CAN, "UNSUPPORTED", "post-only for GTC limit orders without a trigger"),
        (replace(BUY, post_only=True), CAN, "UNSUPPORTED", "post-only for GTC limit"),
        (replace(LIMIT, post_only=True, time_in_force="IOC"), CAN, "UNSUPPORTED", "post-only for GTC limit"),
        (replace(LIMIT, time_in_force="FOK"), CAN, "UNSUPPORTED", "as GTC or IOC only"),
        (replace(STOP, time_in_force="IOC"), CAN, "UNSUPPORTED", "as GTC only"),
        (replace(BUY, time_in_force="IOC"), CAN, "UNSUPPORTED", "as GTC only"),
        (replace(BUY, size=Base(D(1))), CAN, "UNIT", "size of a market buy in USDT, not in BTC. Give it in USDT"),
        (BUY, BARE, "UNIT", "size of a market buy in BTC, not in USDT. Give it in BTC"),
        (replace(BUY, side="sell"), CAN, "UNIT", "size of this order in BTC, not in USDT"),
        (replace(LIMIT, size=Quote(D(1))), CAN, "UNIT", "size of this order in BTC, not in USDT"),
        (replace(STOP, size=Quote(D(1))), CAN, "UNIT", "size of this order in BTC, not in USDT"),
        (replace(LIMIT, price=None), CAN, "PRICE_MISSING", "needs a price"),
        (replace(STOP, price=None), CAN, "PRICE_MISSING", "needs a price"),
        (replace(STOP, stop_price=None), CAN, "PRICE_MISSING", "needs a stop price"),
    ],
)
def test_refuse_undeclared_order_is_told_what_works(order: Order, can: Capabilities, code: str, text: str) -> None:
    """2459 coins must never become 2459 dollars, and a flag is never dropped in silence."""
    with pytest.raises(UserError, match=text) as caught:
        refuse_undeclared(order, "Acme", can)
    assert caught.value.code == code


def test_plain_price_that_the_order_lacks_is_refused() -> None:
    """`None` is never sent as text."""
    with pytest.raises(UserError, match="needs a price") as caught:
        plain(None)
    assert caught.value.code == "PRICE_MISSING"
