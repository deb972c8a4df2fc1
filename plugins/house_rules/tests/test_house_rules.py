"""House rules: what the configuration means, and which orders it refuses."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tradewire_house_rules import HouseRules, Rules, objection, read

from bot import Base, Market, Order, Quote, UserError

STEP = Decimal("0.01")
MARKET = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=STEP,
    quantity_step=STEP,
    quote_step=STEP,
)
LIMIT = Order(
    client_order_id="t1", market=MARKET, side="buy", type="limit", size=Base(Decimal("0.01")), price=Decimal(50_000)
)
AT_MARKET = replace(LIMIT, type="market", price=None, reference_price=Decimal(50_000))
STOP = replace(LIMIT, type="stop_market", price=None, stop_price=Decimal(50_001), reference_price=Decimal(40_000))
MOST = Rules(most_per_order={"USDT": Decimal(500)})


def test_read_every_rule_returns_them() -> None:
    """Coins and assets are read in capitals; an amount may be text or a whole number."""
    rules = read({"refused_coins": ["doge"], "most_per_order": {"usdt": "500.5", "TWD": 15000}})
    assert rules == Rules(frozenset({"DOGE"}), {"USDT": Decimal("500.5"), "TWD": Decimal(15000)})
    assert read({}) == Rules()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"coins": []}, "there is no rule coins: the rules are"),
        ({"refused_coins": "DOGE"}, "refused_coins is a list"),
        ({"refused_coins": [1]}, "refused_coins is a list"),
        ({"most_per_order": 5}, "most_per_order is a table"),
        *(
            ({"most_per_order": {"USDT": bad}}, "most_per_order.USDT is an amount")
            for bad in ("x", "NaN", "0", "-1", True, 0.5, None)
        ),
    ],
)
def test_read_what_is_wrong_names_the_key(settings: dict[str, Any], words: str) -> None:
    """A rule that cannot be read is an error, never no rule."""
    with pytest.raises(UserError, match=words):
        read(settings)


@pytest.mark.parametrize(
    ("rules", "order", "words"),
    [
        (Rules(), LIMIT, ""),
        (Rules(frozenset({"DOGE"})), LIMIT, ""),
        (Rules(frozenset({"BTC"})), LIMIT, "BTC may not be traded here."),
        (Rules(frozenset({"USDT"})), LIMIT, "USDT may not be traded here."),
        (MOST, LIMIT, ""),
        (MOST, replace(LIMIT, price=Decimal(50_001)), "This order is worth 500.01 USDT; at most 500 is allowed here."),
        (MOST, AT_MARKET, ""),
        (MOST, replace(AT_MARKET, reference_price=Decimal(50_001)), "This order is worth 500.01 USDT; at most 500"),
        (MOST, replace(AT_MARKET, reference_price=None), "BTC/USDT has no price now"),
        (MOST, replace(AT_MARKET, size=Quote(Decimal(500))), ""),
        (MOST, replace(AT_MARKET, size=Quote(Decimal(501))), "This order is worth 501 USDT"),
        (MOST, STOP, "This order is worth 500.01 USDT"),
        (Rules(most_per_order={"TWD": Decimal(1), "EUR": Decimal(1)}), LIMIT, "Only pairs in EUR, TWD may be traded"),
    ],
)
def test_objection_is_what_the_rules_say(rules: Rules, order: Order, words: str) -> None:
    """At the limit an order passes; above it, with a refused coin, or where nobody can tell, it does not."""
    assert objection(rules, order).startswith(words)
    assert bool(objection(rules, order)) is bool(words)


def test_guard_not_configured_refuses_everything() -> None:
    """Also after a configuration that could not be read: the rules before it hold no longer."""
    guard = HouseRules()
    guard.configure({})
    with pytest.raises(UserError):
        guard.configure({"refused_coins": 5})
    with pytest.raises(UserError, match=r"House rule: The house rules were not read\. Nothing was sent\."):
        next(guard.place_order(LIMIT))
