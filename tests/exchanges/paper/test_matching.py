"""One order, one book: what fills, what rests, what is refused."""

from decimal import Decimal

import pytest

from bot.contract.models import Balance, Market, OrderBook
from bot.exchanges.paper import matching
from bot.exchanges.paper.state import PaperOrder, PaperState, Refusal

MARKET = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=Decimal("0.1"),
    quantity_step=Decimal("0.01"),
    quote_step=Decimal("0.1"),
    min_quantity=Decimal("0.02"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
    min_market_buy_quote=Decimal(8),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)


def levels(*pairs):
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in pairs)


BOOK = OrderBook(levels(("99", "1"), ("98", "2")), levels(("101", "1"), ("102", "2")))
NOBODY = OrderBook((), ())


def account(**free):
    return PaperState(free={asset: Decimal(amount) for asset, amount in (free or {"USDT": 1000, "BTC": 10}).items()})


def order(side="buy", type="limit", **fields):  # noqa: A002
    amounts = {name: Decimal(text) for name, text in fields.items() if name in AMOUNTS}
    return PaperOrder(**{"client_order_id": "a", "symbol": "BTCUSDT", "side": side, "type": type, **fields, **amounts})


AMOUNTS = {"quantity", "funds", "price", "stop_price", "reference_price"}


def place(state, new, book=BOOK, market=MARKET):
    matching.place(state, new, book, market, 1000)
    return new


def settle(state, book, market=MARKET):
    matching.settle(state, "BTCUSDT", book, market, 2000)


def executions(state):
    return [(fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.is_maker) for fill in state.fills]


def balances(state):
    return {row.asset: (row.free, row.locked) for row in state.balances()}


def test_limit_buy_that_crosses_takes_to_its_limit_and_rests_with_the_rest():
    """It pays the book's prices, not its own; the fee comes out of what is received; the rest is held at the limit."""
    state = account()
    placed = place(state, order(price="101.5", quantity="3"))
    assert executions(state) == [(Decimal(101), Decimal(1), Decimal("0.002"), "BTC", False)]
    assert (placed.state, placed.filled, placed.remaining) == ("partially_filled", Decimal(1), Decimal(2))
    assert balances(state) == {"BTC": (Decimal("10.998"), Decimal(0)), "USDT": (Decimal(696), Decimal(203))}


def test_limit_sell_that_crosses_takes_the_bids_best_first():
    """A sell walks down the bids and pays its fee in quote asset."""
    state = account(BTC="2")
    placed = place(state, order("sell", price="98", quantity="2"))
    assert executions(state) == [
        (Decimal(99), Decimal(1), Decimal("0.198"), "USDT", False),
        (Decimal(98), Decimal(1), Decimal("0.196"), "USDT", False),
    ]
    assert (placed.state, placed.report().average_price) == ("filled", Decimal("98.5"))
    assert balances(state) == {"USDT": (Decimal("196.606"), Decimal(0))}


def test_limit_away_from_the_book_rests_and_holds_its_money():
    """Nothing fills; the whole notional is locked."""
    state = account(USDT="1000")
    placed = place(state, order(price="90", quantity="3"))
    assert (placed.state, state.fills, state.balances()) == ("open", [], [Balance("USDT", Decimal(730), Decimal(270))])


def test_resting_buy_fills_as_maker_at_its_price_by_the_best_level_only():
    """The ask falls to 89 with 0.5 there: 0.5 fills, at 90 and at the maker fee, although more stands behind."""
    state = account(USDT="1000")
    placed = place(state, order(price="90", quantity="3"))
    settle(state, OrderBook(levels(("88", "1")), levels(("89", "0.5"), ("89.5", "9"))))
    assert executions(state) == [(Decimal(90), Decimal("0.5"), Decimal("0.0005"), "BTC", True)]
    assert (placed.state, placed.remaining) == ("partially_filled", Decimal("2.5"))
    assert balances(state) == {"BTC": (Decimal("0.4995"), Decimal(0)), "USDT": (Decimal(730), Decimal(225))}


def test_resting_order_before_an_unchanged_book_fills_nothing_more():
    """Asking twice about the same book is not two trades; a changed book is."""
    state = account(USDT="1000")
    placed = place(state, order(price="90", quantity="3"))
    for _ in range(3):
        settle(state, OrderBook((), levels(("90", "1"))))
    assert placed.filled == Decimal(1)
    settle(state, OrderBook((), levels(("90", "1.5"))))
    assert placed.filled == Decimal("2.5")


def test_resting_orders_share_the_best_level_best_price_first_then_oldest():
    """Three sells wait, 1.5 is bid: the cheapest fills whole, the older of the other two gets what is left."""
    state = account(BTC="10")
    ids = {}
    for name, price in (("old", "110"), ("young", "110"), ("cheap", "105")):
        ids[name] = place(state, order("sell", client_order_id=name, price=price, quantity="1"))
    settle(state, OrderBook(levels(("120", "1.5")), ()))
    assert {name: each.filled for name, each in ids.items()} == {
        "cheap": Decimal(1),
        "old": Decimal("0.5"),
        "young": Decimal(0),
    }


def test_resting_order_on_a_halted_market_waits():
    """Nothing trades while the market is halted."""
    state = account()
    placed = place(state, order(price="90", quantity="1"))
    halted = Market(**{name: getattr(MARKET, name) for name in Market.__slots__} | {"status": "halted"})
    settle(state, OrderBook((), levels(("80", "5"))), halted)
    assert placed.state == "open"


@pytest.mark.parametrize(
    ("time_in_force", "outcome", "filled"),
    [("IOC", "canceled", "1"), ("FOK", "canceled", "0"), ("GTC", "partially_filled", "1")],
)
def test_limit_larger_than_the_book_follows_its_time_in_force(time_in_force, outcome, filled):
    """IOC keeps what it got, FOK gets nothing, GTC rests; what ended holds no money."""
    state = account(USDT="1000")
    placed = place(state, order(price="101", quantity="2", time_in_force=time_in_force))
    assert (placed.state, placed.filled) == (outcome, Decimal(filled))
    assert placed.locked == (Decimal(101) if time_in_force == "GTC" else Decimal(0))


def test_fok_that_the_book_can_fill_fills():
    """FOK over two levels is filled whole."""
    state = account()
    assert place(state, order(price="102", quantity="3", time_in_force="FOK")).state == "filled"


def test_market_buy_in_quote_spends_no_more_and_returns_what_buys_no_step():
    """250 USDT buy 1 at 101 and 1.46 at 102; 0.08 buys not even one step and comes back."""
    state = account(USDT="1000")
    placed = place(state, order(type="market", funds="250"))
    assert [fill[:2] for fill in executions(state)] == [(Decimal(101), Decimal(1)), (Decimal(102), Decimal("1.46"))]
    assert (placed.state, placed.notional) == ("filled", Decimal("249.92"))
    assert balances(state) == {"BTC": (Decimal("2.45508"), Decimal(0)), "USDT": (Decimal("750.08"), Decimal(0))}


def test_market_order_larger_than_the_book_is_canceled_with_what_it_got():
    """The book ends: 3 of 5 are sold, the rest is released, and the reason says why."""
    state = account(BTC="5")
    placed = place(state, order("sell", "market", quantity="5"))
    assert (placed.state, placed.filled, placed.reason) == (
        "canceled",
        Decimal(3),
        "the book held no more at this price",
    )
    assert balances(state)["BTC"] == (Decimal(2), Decimal(0))


@pytest.mark.parametrize(
    ("side", "stop_price", "reference_price", "reached", "not_reached"),
    [
        ("sell", "95", None, "94", "96"),  # a stop-loss
        ("sell", "120", None, "121", "119"),  # a take-profit
        ("buy", "105", None, "106", "104"),
        ("buy", "80", None, "79", "81"),
        ("sell", "110", "115", "109", None),  # seen at 115, so it waits for a fall that has already happened
    ],
)
def test_stop_waits_for_the_middle_to_reach_it_from_where_it_was_seen(
    side, stop_price, reference_price, reached, not_reached
):
    """A stop triggers when the middle price comes to it, from either side, and then trades at the market."""
    seen = {"reference_price": reference_price} if reference_price else {}
    state = account()
    placed = place(state, order(side, "stop_market", stop_price=stop_price, quantity="1", **seen))

    def around(price):
        return OrderBook(levels((price, "3")), levels((price, "3")))

    if not_reached is None:
        assert placed.state == "filled"
        return
    settle(state, around(not_reached))
    assert (placed.state, placed.filled) == ("open", Decimal(0))
    settle(state, around(reached))
    assert (placed.state, placed.notional) == ("filled", Decimal(reached))


def test_stop_limit_when_triggered_rests_at_its_limit():
    """Triggered at 94 with a limit of 97: nobody pays that, so it rests and is filled as maker when they do."""
    state = account()
    placed = place(state, order("sell", "stop_limit", stop_price="95", price="97", quantity="1"))
    settle(state, OrderBook(levels(("93", "1")), levels(("95", "1"))))
    assert (placed.waiting, placed.state) == (False, "open")
    settle(state, OrderBook(levels(("98", "1")), levels(("99", "1"))))
    assert executions(state) == [(Decimal(97), Decimal(1), Decimal("0.097"), "USDT", True)]


def test_stop_market_buy_that_costs_more_than_was_free_is_canceled():
    """The price jumped over the stop and the account cannot pay: canceled, with the money back and the reason told."""
    state = account(USDT="110")
    placed = place(state, order(type="stop_market", stop_price="110", quantity="1"))
    settle(state, OrderBook((), levels(("130", "5"))))
    assert (placed.state, placed.reason, balances(state)) == (
        "canceled",
        "the stop was reached, but 130 USDT was not free",
        {"USDT": (Decimal(110), Decimal(0))},
    )


@pytest.mark.parametrize(
    ("new", "book", "code", "message"),
    [
        (
            order(price="100", quantity="11"),
            BOOK,
            "INSUFFICIENT_FUNDS",
            "this needs 1100 USDT, and 1000 USDT is free",
        ),
        (
            order("sell", "market", quantity="11"),
            BOOK,
            "INSUFFICIENT_FUNDS",
            "this needs 11 BTC, and 10 BTC is free",
        ),
        (
            order(type="market", quantity="12"),
            OrderBook((), levels(("100", "20"))),
            "INSUFFICIENT_FUNDS",
            "this needs 1200 USDT, and 1000 USDT is free",
        ),
        (order(price="100", quantity="0.01"), BOOK, "MIN_QUANTITY", "0.01 BTC is below the minimum of 0.02 BTC"),
        (order(price="1", quantity="101"), BOOK, "MAX_QUANTITY", "101 BTC is above the maximum of 100 BTC"),
        (
            order(price="100", quantity="0.04"),
            BOOK,
            "MIN_NOTIONAL",
            "the order is worth 4.00 USDT, below the minimum of 5 USDT",
        ),
        (order(type="market", funds="7.9"), BOOK, "MIN_NOTIONAL", "7.9 USDT is below the minimum of 8"),
        (
            order(type="market", funds="8"),
            OrderBook((), levels(("900", "1"))),
            "MIN_QUANTITY",
            "8 USDT buys less than 0.01 BTC",
        ),
        (order(price="100.05", quantity="1"), BOOK, "OFF_STEP", "the price 100.05 is not a multiple of 0.1 USDT"),
        (order(price="0", quantity="1"), BOOK, "OFF_STEP", "the price 0 is not a multiple of 0.1 USDT"),
        (order(price="100", quantity="1.005"), BOOK, "OFF_STEP", "1.005 BTC is not a multiple of 0.01"),
        (order(price="100", quantity="0"), BOOK, "OFF_STEP", "0 BTC is not a multiple of 0.01"),
        (order(type="market", funds="10.05"), BOOK, "OFF_STEP", "10.05 USDT is not a multiple of 0.1"),
        (
            order("sell", "market", funds="100"),
            BOOK,
            "BAD_SIZE",
            "only a market buy may be sized in quote asset",
        ),
        (order(type="market", quantity="1"), NOBODY, "NO_LIQUIDITY", "nobody is on the other side of BTC/USDT now"),
        (
            order(price="101", quantity="1", post_only=True),
            BOOK,
            "POST_ONLY",
            "a buy at 101 would take from the book at 101",
        ),
    ],
)
def test_order_that_a_real_exchange_would_refuse_is_refused_and_changes_nothing(new, book, code, message):
    """Each refusal says what was wrong, and the account is as before."""
    state, untouched = account(), account()
    with pytest.raises(Refusal) as caught:
        place(state, new, book)
    assert (caught.value.code, str(caught.value), state) == (code, message, untouched)


def test_post_only_that_would_not_take_rests():
    """Just below the best ask, post-only is taken."""
    assert place(account(), order(price="100.9", quantity="1", post_only=True)).state == "open"


def test_client_id_of_an_open_order_is_refused_and_of_a_done_one_taken():
    """An id may come again only when its order is done."""
    state = account()
    first = place(state, order(price="90", quantity="1"))
    with pytest.raises(Refusal, match="an open order has the client order id a"):
        place(state, order(price="90", quantity="1"))
    matching.cancel(state, str(first.id))
    assert place(state, order(price="90", quantity="1")).state == "open"


def test_cancel_releases_what_is_held_once():
    """The money comes back; a second cancellation is refused by name."""
    state = account(USDT="1000")
    placed = place(state, order(price="101", quantity="3"))
    matching.cancel(state, str(placed.id))
    assert balances(state) == {"BTC": (Decimal("0.998"), Decimal(0)), "USDT": (Decimal(899), Decimal(0))}
    with pytest.raises(Refusal, match="order 1 is already canceled"):
        matching.cancel(state, str(placed.id))
    with pytest.raises(Refusal, match="there is no order 77"):
        matching.cancel(state, "77")


def test_json_keeps_open_orders_and_only_the_newest_of_the_rest():
    """However long an account trades, its state stays small, and no open order is ever dropped."""
    state = account(USDT="1000000", BTC="10")
    resting = place(state, order(client_order_id="resting", price="90", quantity="1"))
    for number in range(600):
        place(state, order(client_order_id=str(number), price="101", quantity="1"))
    kept = PaperState.from_json(state.to_json())
    assert [each.id for each in kept.orders] == [resting.id, *(each.id for each in state.orders[-200:])]
    assert (kept.fills, kept.balances(), kept.next_id) == (state.fills[-500:], state.balances(), state.next_id)
