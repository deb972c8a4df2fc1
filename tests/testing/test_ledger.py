from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.testing.ledger import Account, InsufficientBalance, Ledger, Order, Pair

D = Decimal


def make_ledger(**balances: str) -> tuple[Ledger, Pair, Account]:
    ledger = Ledger([Pair("BTCUSDT", "BTC", "USDT", 2, 6)], lambda: 1_700_000_000_000)
    ledger.set_price("BTCUSDT", "99.00", "100.00", depth="2")
    account = Account()
    account.free.update({asset: D(amount) for asset, amount in balances.items()})
    return ledger, ledger.pairs["BTCUSDT"], account


def money(account: Account) -> dict[str, tuple[Decimal, Decimal]]:
    return {asset: (account.free[asset], account.locked[asset]) for asset in sorted(account.free)}


def outcome(order: Order) -> tuple[str, str, Decimal, Decimal, Decimal]:
    return order.status, order.reason, order.filled, order.value, order.fee


def test_ledger_resting_limit_buy_locks_price_times_quantity() -> None:
    """A buy that does not cross locks exactly what it can cost, and cancelling it gives all of it back."""
    ledger, pair, account = make_ledger(USDT="100")
    order = ledger.place(account, pair, "buy", "limit", price=D("98.01"), quantity=D("0.123457"))
    assert money(account) == {"USDT": (D("100") - D("12.10002057"), D("12.10002057"))}
    ledger.cancel(order)
    assert money(account) == {"USDT": (D("100"), D("0"))}


def test_ledger_crossing_limit_buy_pays_the_book_price() -> None:
    """A buy above the ask pays the ask as taker, gets the rest of its lock back and pays its fee in base."""
    ledger, pair, account = make_ledger(USDT="500")
    order = ledger.place(account, pair, "buy", "limit", price=D("104"), quantity=D("1.5"))
    assert outcome(order) == ("filled", "", D("1.5"), D("150"), D("0.0015"))
    assert money(account) == {"BTC": (D("1.4985"), D("0")), "USDT": (D("350"), D("0"))}


def test_ledger_limit_buy_beyond_depth_rests() -> None:
    """What the book cannot fill stays open with its own lock, and fills later as maker at its own price."""
    ledger, pair, account = make_ledger(USDT="500")
    order = ledger.place(account, pair, "buy", "limit", price=D("104"), quantity=D("3"))
    assert outcome(order) == ("open", "", D("2"), D("200"), D("0.002"))
    assert money(account) == {"BTC": (D("1.998"), D("0")), "USDT": (D("196"), D("104"))}
    ledger.set_price("BTCUSDT", "101", "103", depth="5")
    assert outcome(order) == ("filled", "", D("3"), D("304"), D("0.003"))
    assert [execution.is_maker for execution in ledger.executions] == [False, True]


@pytest.mark.parametrize(
    ("time_in_force", "post_only", "quantity", "expected"),
    [
        ("ioc", False, "3", ("canceled", "ioc", D("2"), D("200"), D("0.002"))),
        ("fok", False, "3", ("canceled", "fok", D("0"), D("0"), D("0"))),
        ("fok", False, "2", ("filled", "", D("2"), D("200"), D("0.002"))),
        ("gtc", True, "1", ("canceled", "post_only", D("0"), D("0"), D("0"))),
    ],
)
def test_ledger_limit_buy_obeys_time_in_force(
    time_in_force: str, post_only: bool, quantity: str, expected: tuple[object, ...]
) -> None:
    """IOC cancels the rest, FOK fills whole or not at all, post-only never takes; nothing stays locked."""
    ledger, pair, account = make_ledger(USDT="500")
    order = ledger.place(
        account,
        pair,
        "buy",
        "limit",
        price=D("100"),
        quantity=D(quantity),
        time_in_force=time_in_force,
        post_only=post_only,
    )
    assert (outcome(order), account.locked["USDT"]) == (expected, D(0))


def test_ledger_market_buy_walks_the_book_and_returns_the_rest() -> None:
    """A market buy takes level after level in whole lots; less than one lot's worth comes back unspent."""
    ledger, pair, account = make_ledger(USDT="500")
    ledger.set_book("BTCUSDT", [("99", "1")], [("100", "1"), ("300", "9")])
    order = ledger.place(account, pair, "buy", "market", budget=D("200.001"))
    assert outcome(order) == ("filled", "", D("1.333336"), D("200.0008"), D("0.001333336"))
    assert money(account) == {"BTC": (D("1.332002664"), D("0")), "USDT": (D("299.9992"), D("0"))}


def test_ledger_market_sell_beyond_depth_is_canceled() -> None:
    """A market order ends when the book does: the rest is canceled and unlocked."""
    ledger, pair, account = make_ledger(BTC="5")
    order = ledger.place(account, pair, "sell", "market", quantity=D("3"))
    assert outcome(order) == ("canceled", "depth", D("2"), D("198"), D("0.198"))
    assert money(account) == {"BTC": (D("3"), D("0")), "USDT": (D("197.802"), D("0"))}


def test_ledger_too_little_balance_changes_nothing() -> None:
    """One unit too little refuses the order before anything is locked or listed."""
    ledger, pair, account = make_ledger(USDT="99.99999999")
    with pytest.raises(InsufficientBalance):
        ledger.place(account, pair, "buy", "limit", price=D("100"), quantity=D("1"))
    assert (money(account), ledger.orders) == ({"USDT": (D("99.99999999"), D("0"))}, [])


def test_ledger_fill_fills_a_part_of_a_resting_order() -> None:
    """A test can fill any part of a resting order, but never more than is left or at a worse price."""
    ledger, pair, account = make_ledger(USDT="500")
    order = ledger.place(account, pair, "buy", "limit", price=D("90"), quantity=D("2"))
    ledger.fill(order, "0.5", "89")
    assert outcome(order) == ("open", "", D("0.5"), D("44.5"), D("0.0005"))
    assert money(account) == {"BTC": (D("0.4995"), D("0")), "USDT": (D("320.5"), D("135"))}
    for quantity, price in (("1.6", "89"), ("0.5", "91"), ("0", "89")):
        with pytest.raises(ValueError, match="cannot fill"):
            ledger.fill(order, quantity, price)


@pytest.mark.parametrize(
    ("trigger", "passing", "reaching"),
    [("95", "95.01", "94.99"), ("105", "104.99", "105")],
)
def test_ledger_plan_fires_when_the_price_reaches_it(trigger: str, passing: str, reaching: str) -> None:
    """A plan waits for the last price to come to its trigger from the side it was on, and locks nothing before."""
    ledger, pair, account = make_ledger(BTC="1")
    plan = ledger.place_plan(account, pair, "sell", "market", trigger=D(trigger), size=D("1"))
    ledger.set_price("BTCUSDT", passing, "200")
    assert (plan.status, account.locked["BTC"]) == ("open", D("0"))
    ledger.set_price("BTCUSDT", reaching, "200")
    assert plan.order is not None
    assert (plan.status, plan.order.status, plan.order.average_price) == ("triggered", "filled", D(reaching))


def test_ledger_plan_without_funds_fails_when_it_fires() -> None:
    """The balance is looked at only when the trigger is reached."""
    ledger, pair, account = make_ledger()
    plan = ledger.place_plan(account, pair, "sell", "market", trigger=D("95"), size=D("1"))
    ledger.set_price("BTCUSDT", "94", "95")
    assert (plan.status, plan.order) == ("failed", None)


prices = st.decimals("90.00", "110.00", places=2)
quantities = st.decimals("0.000001", "3.000000", places=6)
sides = st.sampled_from(["buy", "sell"])
steps = st.one_of(
    st.tuples(st.just("limit"), sides, prices, quantities, st.sampled_from(["gtc", "ioc", "fok"]), st.booleans()),
    st.tuples(st.just("market"), sides, quantities),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("fill"), st.integers(0, 20), quantities),
    st.tuples(st.just("price"), prices, st.decimals("0.01", "5.00", places=2), quantities),
)


@given(st.lists(steps, max_size=25))
def test_ledger_random_orders_conserve_balances(steps: list[tuple[object, ...]]) -> None:
    """Whatever is placed, filled and canceled: free and locked change by the fills alone, to the last digit."""
    ledger, pair, account = make_ledger(BTC="4", USDT="400")
    for step in steps:
        try:
            match step:
                case ("limit", side, price, quantity, force, post_only):
                    terms = {"price": price, "quantity": quantity, "time_in_force": force, "post_only": post_only}
                    ledger.place(account, pair, side, "limit", **terms)  # type: ignore[arg-type]
                case ("market", "buy", Decimal() as quantity):
                    ledger.place(account, pair, "buy", "market", budget=quantity * 100)
                case ("market", "sell", Decimal() as quantity):
                    ledger.place(account, pair, "sell", "market", quantity=quantity)
                case ("cancel", int(index)) if ledger.orders:
                    ledger.cancel(ledger.orders[index % len(ledger.orders)])
                case ("fill", int(index), Decimal() as quantity) if ledger.orders:
                    ledger.fill(ledger.orders[index % len(ledger.orders)], quantity)
                case ("price", Decimal() as bid, Decimal() as spread, Decimal() as depth):
                    ledger.set_price("BTCUSDT", bid, bid + spread, depth=depth)
        except (InsufficientBalance, ValueError):
            pass
        expected = {"BTC": D("4"), "USDT": D("400")}
        for row in ledger.executions:
            sign = 1 if row.order.side == "buy" else -1
            expected["BTC"] += sign * row.quantity
            expected["USDT"] -= sign * row.quantity * row.price
            expected[row.order.gets] -= row.fee
        reserved = {"BTC": D(0), "USDT": D(0)}
        for order in ledger.orders:
            reserved[order.pays] += order.reserved
            left = order.quantity - order.filled
            is_open_buy = order.status == "open" and order.side == "buy"
            assert order.reserved == (left * order.price if is_open_buy else left if order.status == "open" else 0)
        assert {asset: account.free[asset] + account.locked[asset] for asset in expected} == expected
        assert {asset: account.locked[asset] for asset in reserved} == reserved
        assert min(account.free.values()) >= 0
