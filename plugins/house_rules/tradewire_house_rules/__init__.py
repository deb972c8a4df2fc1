"""House rules: a guard that refuses orders before any exchange hears of them. Set in `[plugins.house_rules]`.

`refused_coins = ["DOGE"]` refuses every pair with that coin. `most_per_order = { USDT = "500" }` refuses orders worth
more; pairs in a quote asset that it does not name are then refused too, or the rule would have a way around it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from bot import Flow, Order, OrderAck, Quote, UserError, hookimpl, plain


@dataclass(frozen=True, slots=True)
class Rules:
    """What is allowed. Amounts are in the quote asset that names them; without any, size does not matter."""

    refused_coins: frozenset[str] = frozenset()
    most_per_order: Mapping[str, Decimal] = field(default_factory=dict)


def read(settings: Mapping[str, Any]) -> Rules:
    """Return the rules that a configuration means.

    Raises:
        UserError: Which key is wrong and what it accepts.
    """
    for key in settings.keys() - {"refused_coins", "most_per_order"}:
        raise UserError(f"there is no rule {key}: the rules are refused_coins and most_per_order.")
    coins, most = settings.get("refused_coins", []), settings.get("most_per_order", {})
    if not isinstance(coins, list) or not all(isinstance(each, str) for each in coins):
        raise UserError('refused_coins is a list of coins, such as ["DOGE"].')
    if not isinstance(most, Mapping):
        raise UserError('most_per_order is a table, such as { USDT = "500" }.')
    amounts = {asset.upper(): _amount(asset, text) for asset, text in most.items()}
    return Rules(frozenset(each.upper() for each in coins), amounts)


def objection(rules: Rules, order: Order) -> str:
    """Return why the rules forbid an order, or nothing."""
    market = order.market
    refused = sorted({market.base, market.quote} & rules.refused_coins)
    if refused:
        return f"{refused[0]} may not be traded here."
    if not rules.most_per_order:
        return ""
    most = rules.most_per_order.get(market.quote)
    if most is None:
        return f"Only pairs in {', '.join(sorted(rules.most_per_order))} may be traded here."
    worth = _worth(order)
    if worth is None:
        return f"{market.symbol} has no price now, so nobody can tell whether this order is above {plain(most)}."
    if worth > most:
        return f"This order is worth {plain(worth)} {market.quote}; at most {plain(most)} is allowed here."
    return ""


class HouseRules:
    """The plugin. Refuses everything until it is configured: rules that were not read are not kept."""

    def __init__(self) -> None:
        self._rules: Rules | None = None

    @hookimpl
    def configure(self, settings: Mapping[str, Any]) -> None:
        self._rules = None
        self._rules = read(settings)

    @hookimpl(wrapper=True)
    def place_order(self, order: Order) -> Generator[None, Flow[OrderAck], Flow[OrderAck]]:
        reason = "The house rules were not read." if self._rules is None else objection(self._rules, order)
        if reason:
            raise UserError(f"House rule: {reason} Nothing was sent.", code="HOUSE_RULE")
        return (yield)


def _worth(order: Order) -> Decimal | None:
    """Return what an order may cost in quote asset: by the worst price it names, else by the one that was shown."""
    if isinstance(order.size, Quote):
        return order.size.amount
    prices = [each for each in (order.price, order.stop_price, order.reference_price) if each is not None]
    return order.size.amount * max(prices) if prices else None


def _amount(asset: str, text: object) -> Decimal:
    try:
        amount = Decimal(text) if isinstance(text, (str, int)) and not isinstance(text, bool) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UserError(f'most_per_order.{asset} is an amount above zero in quotes, such as "500".')
    return amount


plugin = HouseRules()
