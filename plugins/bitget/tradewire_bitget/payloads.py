"""Between Bitget's fields and the models, as far as classic and unified accounts share them.

Source: https://www.bitget.com/api-doc/common/intro (read 2025-12).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from bot import (
    Account,
    Balance,
    Capabilities,
    Fill,
    Flow,
    Market,
    Number,
    Order,
    OrderAck,
    OrderReport,
    ReportState,
    Request,
    Response,
    Row,
    Side,
    known,
    pages,
    state_of,
)

T = TypeVar("T")

CAPABILITIES = Capabilities(
    order_types=frozenset({"limit", "market", "stop_limit", "stop_market"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    cancel_all=True,
    key_report=True,
    sandbox=True,
    absence_seconds=35,  # a timestamp is taken for 30 seconds
)

Fee: TypeAlias = tuple[Decimal | None, str]
"""Positive for paid, and its asset."""
NO_FEE: Fee = (None, "")

PAGE = 100
OVERALL = "all"
ZERO = Decimal(0)

_WORDS: Mapping[ReportState, str] = {
    "open": "init new live not_trigger executing",
    "partially_filled": "partially_filled partially_fill partial_fill",
    "filled": "filled full_fill",
    "canceled": "cancelled canceled cancel",
    "rejected": "fail_execute fail_trigger",
}
_STATES = {word: state for state, words in _WORDS.items() for word in words.split()}

_REASONS: Mapping[str, str] = {
    "normal_cancel": "",
    "post_only_fill_cancel": "the post-only order would have traded at once",
    "fok_not_full_cancel": "it could not be filled at once in full",
    "ioc_not_full_cancel": "the rest could not be filled at once",
    "stp_cancel": "it would have traded with an order of the same account",
    "self_trade_cancel": "it would have traded with an order of the same account",
    "limit_price_exceed_cancel": "the limit price was outside the allowed band",
    "trade_count_too_small": "the rest was too small to trade",
    "slippage_cancel": "the price moved too far",
}


# Requests and replies


class Reply(msgspec.Struct, Generic[T]):
    """The envelope of every reply."""

    data: T


def public(path: str, **query: str) -> Request:
    """Describe a request for market data."""
    return Request.get(path, query, auth="none", costs=_costs("GET", path))


def private(account: Account, path: str, **query: str | int) -> Request:
    """Describe a signed GET. The query is sorted, as in Bitget's own samples; empty values are left out."""
    pairs = sorted((name, str(value)) for name, value in query.items() if value)
    return Request.get(path, pairs, headers=_headers(account), costs=_costs("GET", path))


def action(account: Account, path: str, json: Mapping[str, Any], *, places: bool = False) -> Request:
    """Describe a signed POST."""
    headers, costs = _headers(account), _costs("POST", path)
    return Request(method="POST", path=path, json=json, headers=headers, costs=costs, places=places)


def _headers(account: Account) -> dict[str, str]:
    return {"paptrading": "1"} if account.options.get("demo") == "1" else {}


@functools.cache  # one for each endpoint
def _costs(method: str, path: str) -> Mapping[str, int]:
    return {f"{method} {path}": 1, OVERALL: 1}


def listed(
    first: Request, cursor: str, read: Callable[[Response], tuple[list[T], str]], *, most: int, whole: bool = False
) -> Flow[list[T]]:
    """Read a list, newest first, until a page is not full. `read` returns a page's rows and the next one's cursor."""

    def take(response: Response, rows: list[T]) -> Request | None:
        found, older = read(response)
        rows += found
        is_last = len(found) < PAGE or not older
        return None if is_last else first.with_query(sorted([*first.query, (cursor, older)]))

    return pages(first, take, most=most, whole=whole)


def milliseconds(time: Number) -> int:
    """Return a time of Bitget's in milliseconds; a few replies have seconds."""
    value = int(time or 0)
    return value * 1000 if 0 < value < 100_000_000_000 else value


# Balances


class Asset(Row):
    """A coin. Only v2 has `frozen`, for money in orders; its `locked` is for the rest."""

    coin: str
    available: Number = None
    frozen: Number = None
    locked: Number = None


def holdings(rows: Iterable[Asset]) -> list[Balance]:
    """Return what `rows` say, without zeros."""
    found = (
        Balance(row.coin.upper(), row.available or ZERO, (row.frozen or ZERO) + (row.locked or ZERO)) for row in rows
    )
    return [balance for balance in found if balance.free or balance.locked]


# Placing


def force_text(order: Order) -> str:
    """Return Bitget's word for how long a limit order rests."""
    return "post_only" if order.post_only else order.time_in_force.lower()


class _Ack(msgspec.Struct, rename="camel"):
    order_id: str


class _Placed(msgspec.Struct):
    data: _Ack


def parse_ack(response: Response, order: Order) -> OrderAck:
    return OrderAck(response.decode(_Placed).data.order_id, order.client_order_id)


# Orders and fills. Rows are spelled as in v2: v3 names some fields differently, and lists differ among themselves.


class Entry(Row, rename="camel", kw_only=True):
    """What orders and fills share."""

    id: str
    symbol: str
    side: Side
    fee_detail: msgspec.Raw = msgspec.Raw(b"null")
    created: Number = msgspec.field(name="cTime", default=None)


class OrderRow(Entry, kw_only=True):
    id: str = msgspec.field(name="orderId")
    order_type: Literal["limit", "market"]
    status: str
    client_oid: str | None = None
    price: Number = None
    average: Number = msgspec.field(name="priceAvg", default=None)
    size: Number = None
    filled: Number = msgspec.field(name="baseVolume", default=None)
    trigger_price: Number = None
    cancel_reason: str | None = None


class FillRow(Entry, kw_only=True):
    id: str = msgspec.field(name="tradeId")
    order_id: str
    price: Decimal = msgspec.field(name="priceAvg")
    size: Decimal
    trade_scope: str | None = None


def report(row: OrderRow, fee: Fee = NO_FEE) -> OrderReport:
    filled = row.filled or ZERO
    is_limit = row.order_type == "limit"
    reason = row.cancel_reason or ""
    return OrderReport(
        exchange_order_id=row.id,
        client_order_id=row.client_oid or "",
        exchange_symbol=row.symbol.upper(),
        side=row.side,
        type=row.order_type,
        state=state_of(_STATES, row.status.lower(), filled),
        filled=filled,
        average_price=(row.average or None) if filled else None,
        quantity=(row.size or None) if is_limit or row.side == "sell" else None,
        price=(row.price or None) if is_limit else None,
        stop_price=row.trigger_price or None,
        fee=fee[0],
        fee_asset=fee[1],
        reason=_REASONS.get(reason, reason),
        created_ms=milliseconds(row.created),
    )


def order_key(order: Order, exchange_order_id: str) -> dict[str, str]:
    """Return what names the order in a request: Bitget's id, or ours while theirs is not known."""
    return {"orderId": exchange_order_id} if exchange_order_id else {"clientOid": order.client_order_id}


def only(found: list[OrderReport]) -> OrderReport:
    """Return the order that a look-up found."""
    return known(found[0] if found else None, "Bitget", "It may be older than 90 days.")


def fill(row: FillRow) -> Fill:
    fee, fee_asset = fee_of(row.fee_detail)
    return Fill(
        trade_id=row.id,
        exchange_order_id=row.order_id,
        exchange_symbol=row.symbol.upper(),
        side=row.side,
        price=row.price,
        quantity=row.size,
        fee=fee or ZERO,
        fee_asset=fee_asset,
        is_maker=row.trade_scope == "maker",
        at_ms=milliseconds(row.created),
    )


# Fees. Bitget has three shapes of `feeDetail`; paid is negative in v2 and positive in v3.


class _Fee(Row, rename="camel"):
    fee_coin: str = ""
    fee_coin_code: str = ""
    fee: Number = None
    total_fee: Number = None
    t: Number = None


def order_fee(detail: msgspec.Raw, side: Side, market: Market | None) -> Fee:
    """Return a v2 order's fee: `detail` is JSON text inside a string, and often empty."""
    try:
        fees = msgspec.json.decode(msgspec.json.decode(detail, type=str), type=dict[str, _Fee])
        total = fees["newFees"].t if "newFees" in fees else None
        if total is not None and market is not None:
            return -total, market.base if side == "buy" else market.quote
        for older in fees.values():
            if older.total_fee is not None and older.fee_coin_code:
                return -older.total_fee, older.fee_coin_code.upper()
    except msgspec.DecodeError:
        pass  # A fee that cannot be read must not hide the order.
    return NO_FEE


def fee_of(detail: msgspec.Raw) -> Fee:
    """Return the fee of a v2 fill, an object, or of a v3 order or fill, a list in which an entry may be null."""
    try:
        found = msgspec.json.decode(detail, type=list[_Fee | None] | _Fee)
        entries = [each for each in (found if isinstance(found, list) else [found]) if each is not None]
        asset = entries[0].fee_coin
        fees = ((each.fee or ZERO) - (each.total_fee or ZERO) for each in entries if each.fee_coin == asset)
        return (sum(fees, ZERO), asset.upper()) if asset else NO_FEE
    except (msgspec.DecodeError, IndexError):
        return NO_FEE
