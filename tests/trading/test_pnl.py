"""Gains by average cost: they add up to what the account gained, whatever the order in which trades are told."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import Fill
from bot.trading.amounts import EXACT
from bot.trading.pnl import Position, Total, Trade, of_exchange, of_journal, reckon
from tests.trading.conftest import ANN, BOB, MARKET, START_MS, Room

PRICE = Decimal("61234.56")


def trade(
    side: Any, quantity: str, price: str, *, fee: str = "0", asset: str = "USDT", at: int = 0, **more: Any
) -> Trade:
    values: dict[str, Any] = {
        "account_id": 1,
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "order_id": "o",
        "trade_id": f"{at}{side}",
        "side": side,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "fee": Decimal(fee),
        "fee_asset": asset,
        "at_ms": at,
    }
    return Trade(**values | more)


def realised(*trades: Trade) -> Decimal:
    return reckon(trades).total().realised["USDT"]


@pytest.mark.parametrize(
    ("trades", "expected", "left"),
    [
        ([trade("buy", "2", "100"), trade("sell", "1", "150", at=1)], "50", Position(Decimal(1), Decimal(100))),
        (
            [trade("buy", "1", "100"), trade("buy", "1", "200", at=1), trade("sell", "1", "180", at=2)],
            "30",
            Position(Decimal(1), Decimal(150)),
        ),
        (
            [trade("buy", "1", "100", fee="1"), trade("sell", "1", "150", fee="2", at=1)],
            "47",
            Position(Decimal(0), Decimal(0)),
        ),
        (
            [trade("buy", "1", "100", fee="0.1", asset="BTC"), trade("sell", "0.9", "150", at=1)],
            "35",
            Position(Decimal(0), Decimal(0)),
        ),
        (
            [trade("buy", "1", "100"), trade("sell", "0.9", "150", fee="0.1", asset="BTC", at=1)],
            "35",
            Position(Decimal(0), Decimal(0)),
        ),
        ([trade("buy", "1", "100", fee="5", asset="BGB"), trade("sell", "1", "90", at=1)], "-10", Position()),
        ([trade("buy", "1", "100", fee="-1"), trade("sell", "1", "100", at=1)], "1", Position()),
    ],
    ids=["part sold", "average of two", "fees in quote", "fee in base", "sale with fee in base", "third", "rebate"],
)
def test_pnl_known_trades_bring_known_gains(trades: list[Trade], expected: str, left: Position) -> None:
    """Worked out by hand: each sale brings its proceeds less the average cost of what left, fees included."""
    ledger = reckon(trades)
    assert (ledger.total().realised, ledger.positions) == ({"USDT": Decimal(expected)}, {(1, "BTC/USDT"): left})


def test_pnl_sale_of_coins_from_elsewhere_counts_only_the_known_part() -> None:
    """What was never seen bought has no cost: it is told as such, and neither gain nor loss."""
    ledger = reckon([trade("buy", "1", "100"), trade("sell", "4", "150", at=1)])
    assert ledger.total() == Total(2, {"USDT": Decimal(50)}, {"USDT": Decimal(0)}, {}, {"BTC": Decimal(3)})
    assert ledger.positions == {(1, "BTC/USDT"): Position()}


def test_pnl_fees_are_told_in_quote_and_a_third_asset_beside_them() -> None:
    """A fee in base counts at its trade's price."""
    trades = [
        trade("buy", "1", "100", fee="0.01", asset="BTC"),
        trade("sell", "0.5", "150", fee="2", at=1),
        trade("buy", "1", "90", fee="3", asset="BGB", at=2),
    ]
    total = reckon(trades).total()
    assert (total.fees, total.other_fees) == ({"USDT": Decimal(3)}, {"BGB": Decimal(3)})


def test_pnl_period_takes_the_cost_from_before_it() -> None:
    """A sale of today is measured against what was bought long ago; only what happened in the period is added up."""
    trades = [trade("buy", "2", "100"), trade("sell", "1", "150", at=10), trade("sell", "1", "130", at=20)]
    ledger = reckon(trades)
    assert ledger.total(20) == Total(1, {"USDT": Decimal(30)}, {"USDT": Decimal(0)})
    assert ledger.total(10).realised == {"USDT": Decimal(80)}
    assert ledger.total(21) == Total()


def test_pnl_accounts_and_pairs_keep_their_own_cost() -> None:
    """What one account bought is not what another one sells."""
    trades = [
        trade("buy", "1", "100"),
        trade("sell", "1", "150", at=1, account_id=2),
        trade("sell", "1", "150", at=2, symbol="BTC/USDC", quote="USDC"),
    ]
    total = reckon(trades).total()
    assert (total.realised, total.uncovered) == (
        {"USDT": Decimal(0), "USDC": Decimal(0)},
        {"BTC": Decimal(2)},
    )


ASSETS = st.sampled_from(["BTC", "USDT", "BGB"])
AMOUNTS = st.decimals("0.00000001", "1000", places=8)


@st.composite
def histories(draw: Any) -> list[Trade]:
    """Trades that never sell more than is held."""
    held, found = Decimal(0), []
    for at in range(draw(st.integers(1, 12))):
        side = draw(st.sampled_from(["buy", "sell"])) if held else "buy"
        quantity = min(held, draw(AMOUNTS)) if side == "sell" else draw(AMOUNTS)
        asset = draw(ASSETS)
        if side == "sell" and asset == "BTC":
            asset = "USDT"
        fee = quantity * Decimal("0.001")
        made = trade(side, f"{quantity:f}", f"{draw(AMOUNTS):f}", fee=f"{fee:f}", asset=asset, at=at)
        held += made.received
        found.append(made)
    return found


@settings(max_examples=150, deadline=None)
@given(histories())
def test_pnl_realised_and_unrealised_are_what_the_account_gained(trades: list[Trade]) -> None:
    """To the last digit: gains sum to money that came in, less what went out, plus what is held at its price."""
    ledger = reckon(trades)
    with localcontext(EXACT):
        gained = sum((each.received for each in trades), Decimal(0)) * PRICE - sum(
            (each.paid for each in trades), Decimal(0)
        )
        told = ledger.total().realised["USDT"] + ledger.positions[1, "BTC/USDT"].unrealised(PRICE)
    assert told == gained


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_pnl_is_the_same_however_the_trades_are_told(trades: list[Trade], random: Any) -> None:
    """Shuffled and told twice, trades bring the same."""
    told = [*trades, *trades[::2]]
    random.shuffle(told)
    assert reckon(told) == reckon(trades)


def test_pnl_a_buy_of_the_same_moment_comes_before_the_sale() -> None:
    """Exchanges tell some trades by the second."""
    trades = [trade("sell", "1", "150", trade_id="1"), trade("buy", "1", "100", trade_id="2")]
    assert realised(*trades) == realised(*reversed(trades)) == Decimal(50)


async def test_pnl_of_journal_takes_fills_and_else_the_average(room: Room) -> None:
    """Fills that add up are trades; an order without them is one trade at its average. Others' orders are not told."""
    row = await room.placed()
    room.sql(
        "UPDATE orders SET filled='0.5', average_price='60000', fee='1', fee_asset='USDT', updated_ms=? WHERE id=?",
        START_MS + 5,
        row.id,
    )

    def read(user_id: int = ANN) -> Any:
        return room.store.transact(lambda db: of_journal(db, user_id, room.account.id, "acme"))

    common = {"account_id": room.account.id, "order_id": "x1"}
    whole = trade("buy", "0.5", "60000", fee="1", at=START_MS + 5, trade_id="", **common)
    assert read() == ([whole], {"x1"})
    for name, quantity in (("a", "0.2"), ("b", "0.3")):
        room.sql("INSERT INTO fills VALUES (?, ?, '61000', ?, '2', 'BTC', 0, 7)", row.id, name, quantity)
    first = trade("buy", "0.2", "61000", fee="2", asset="BTC", at=7, trade_id="a", **common)
    second = trade("buy", "0.3", "61000", fee="2", asset="BTC", at=7, trade_id="b", **common)
    assert read() == ([first, second], {"x1"})
    assert read(BOB) == ([], set())
    assert room.store.transact(lambda db: of_journal(db, ANN, room.account.id, "acme:paper")) == ([], set())


def test_pnl_of_exchange_adds_only_orders_the_journal_lacks() -> None:
    """The exchange lists the bot's own fills, too; they are counted by the journal."""

    def fill(order_id: str, symbol: str = "BTCUSDT") -> Fill:
        return Fill(
            trade_id="9",
            exchange_order_id=order_id,
            exchange_symbol=symbol,
            side="buy",
            price=Decimal(100),
            quantity=Decimal(1),
            fee=Decimal(0),
            fee_asset="USDT",
            is_maker=False,
            at_ms=3,
        )

    fills = [fill("mine"), fill("other"), fill("other", "GONEUSDT")]
    assert list(of_exchange(fills, 1, {"BTCUSDT": MARKET}, {"mine"})) == [
        trade("buy", "1", "100", at=3, order_id="other", trade_id="9")
    ]


def test_pnl_counts_in_full_precision() -> None:
    """A third of a coin is no rounding error: nothing is lost when the rest is sold."""
    trades = [trade("buy", "3", "100"), *(trade("sell", "1", "100.000000000000000001", at=at) for at in (1, 2, 3))]
    assert realised(*trades) == Decimal("0.000000000000000003")
