"""One order as the journal keeps it: its row, and the frozen parameters that preview and exchange both get."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from bot.contract.models import Base, Market, Order, Quote, Side
from bot.store.database import Row
from bot.trading.draft import Draft
from bot.trading.law import ENDS, LIVE, State

Params: TypeAlias = dict[str, Any] | MappingProxyType[str, Any]
"""What was frozen with an order, as plain values."""

MISSES = 3
"""Clean looks that must miss an order before its absence counts."""


class OrderRow(msgspec.Struct, frozen=True):
    """One order as the journal has it: the columns of its table, in their order. See `bot.store.schema` for them."""

    id: int
    account_id: int
    user_id: int
    exchange: str
    symbol: str
    side: Side
    state: State
    reason: str
    params: Params
    params_hash: bytes
    intent: str
    client_order_id: str
    exchange_order_id: str
    request_hash: str | None
    window_ends_ms: int | None
    misses: int
    last_miss_ms: int | None
    filled: Decimal
    average_price: Decimal | None
    fee: Decimal | None
    fee_asset: str
    chat_id: int
    message_id: int | None
    expires_ms: int
    cancel_requested_ms: int | None
    late: bool
    doubted: bool
    external: bool
    refusal: str
    created_ms: int
    sent_ms: int | None
    updated_ms: int

    @property
    def order(self) -> Order:
        """What the plugin is given."""
        return _order(self.params, self.client_order_id)

    @property
    def market(self) -> Market:
        """The pair, with the steps of the day the order was drafted."""
        return _market(_of_market(self.params))

    @property
    def quantity(self) -> Decimal:
        """Base asset ordered; an estimate for a size in quote."""
        return Decimal(self.params["quantity"])

    @property
    def notional(self) -> Decimal:
        """Quote asset ordered; an estimate for a market order."""
        return Decimal(self.params["notional"])

    @property
    def despite(self) -> frozenset[int]:
        """The orders in doubt that its owner knew of and wanted it in spite of."""
        return frozenset(self.params.get("despite", ()))

    @property
    def is_missing(self) -> bool:
        """Whether the exchange, which had it, does not show it any more; nobody can tell how it ended."""
        return self.state in LIVE and self.misses >= MISSES

    @property
    def is_settled(self) -> bool:
        """Whether it ended full and with its fee: nothing more can be told of it."""
        return self.state == "filled" and self.fee is not None

    @property
    def is_done(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ENDS


def frozen(draft: Draft, market: Market) -> dict[str, Any]:
    """Return what the preview shows and the exchange will get, as plain values."""
    return {
        "symbol": market.symbol,
        "exchange_symbol": market.exchange_symbol,
        "base": market.base,
        "quote": market.quote,
        "price_step": as_text(market.price_step),
        "quantity_step": as_text(market.quantity_step),
        "quote_step": as_text(market.quote_step),
        "side": draft.side,
        "type": draft.type,
        "size": as_text(draft.size.amount),
        "size_in": "quote" if isinstance(draft.size, Quote) else "base",
        "price": as_text(draft.price),
        "stop_price": as_text(draft.stop_price),
        "time_in_force": draft.time_in_force,
        "post_only": draft.post_only,
        "reference_price": as_text(draft.reference_price),
        "best_price": as_text(_best_price(draft)),
        "quantity": as_text(draft.quantity_estimate),
        "notional": as_text(draft.notional_estimate),
        "average_price": as_text(draft.average_price_estimate),
        "fee": as_text(draft.fee_estimate),
        "spends": draft.spends_asset,
        "free_after": as_text(draft.free_after),
        "warnings": list(draft.warnings),
    }


def params_hash(account_id: int, params: Params) -> bytes:
    """Return what binds a card, its buttons and its order to one another."""
    return hashlib.sha256(_as_json([account_id, params.copy()])).digest()


def row_of(found: Row) -> OrderRow:
    """Return a row of the table `orders`, selected with all its columns; those that are not known stand behind."""
    values = [*found[:_WIDTH]]
    for place, read in _READ:
        if values[place] is not None:
            values[place] = read(values[place])
    for place in _IDS:
        values[place] = values[place] or ""
    return OrderRow(*values)


@lru_cache(maxsize=1024)  # they never change, whatever becomes of the order
def _params(text: str) -> Params:
    return MappingProxyType(msgspec.json.decode(text))  # shared by all who read the row


_as_json = msgspec.json.Encoder(order="sorted").encode
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "params": _params,
    "filled": Decimal,
    "average_price": Decimal,
    "fee": Decimal,
    "late": bool,
    "doubted": bool,
    "external": bool,
}
"""Of the columns that are not used as they are stored."""
_WIDTH = len(OrderRow.__struct_fields__)
_READ = tuple((OrderRow.__struct_fields__.index(name), read) for name, read in _READERS.items())
_IDS = tuple(map(OrderRow.__struct_fields__.index, ("client_order_id", "exchange_order_id")))


def _order(params: Mapping[str, Any], client_order_id: str) -> Order:
    size = Decimal(params["size"])
    return Order(
        client_order_id=client_order_id,
        market=_market(_of_market(params)),
        side=params["side"],
        type=params["type"],
        size=Quote(size) if params["size_in"] == "quote" else Base(size),
        price=_number(params["price"]),
        stop_price=_number(params["stop_price"]),
        time_in_force=params["time_in_force"],
        post_only=params["post_only"],
        reference_price=_number(params["reference_price"]),
    )


_of_market = itemgetter("symbol", "exchange_symbol", "base", "quote", "price_step", "quantity_step", "quote_step")


@lru_cache(maxsize=1024)  # all orders of a pair have the same
def _market(values: tuple[str, ...]) -> Market:
    symbol, exchange_symbol, base, quote, *steps = values
    price_step, quantity_step, quote_step = map(Decimal, steps)
    return Market(
        symbol=symbol,
        exchange_symbol=exchange_symbol,
        base=base,
        quote=quote,
        price_step=price_step,
        quantity_step=quantity_step,
        quote_step=quote_step,
    )


def _best_price(draft: Draft) -> Decimal | None:
    """Return the best price that a market order was to meet."""
    if draft.slippage is None:
        return None
    return draft.average_price_estimate / (1 + (draft.slippage if draft.side == "buy" else -draft.slippage))


def as_text(value: Decimal | None) -> str | None:
    """Return an amount as it is stored; a float that got here past the type checker is refused."""
    if value is None:
        return None
    told: object = value
    if isinstance(told, Decimal) and told.is_finite():
        return format(told, "f")
    raise TypeError(f"an amount is a finite Decimal, not {told!r}")


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def as_json(value: Any) -> str:
    """Return JSON that is always the same for the same value."""
    return _as_json(value).decode()
