"""Between Bitget's fields and the models, as far as classic and unified accounts share them.

Source: https://www.bitget.com/api-doc/common/intro (read 2025-12).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from bot import (
    Account,
    Balance,
    Fill,
    Flow,
    Market,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Quote,
    ReportState,
    Request,
    Response,
    Side,
    UserError,
)

T = TypeVar("T")

Number: TypeAlias = msgspec.Raw
"""A number as Bitget sends it: text mostly, now and then a bare number, `""` or `null` for none."""
NO_NUMBER = msgspec.Raw(b"null")
Fee: TypeAlias = tuple[Decimal | None, str]
"""Positive for paid, and its asset."""
NO_FEE: Fee = (None, "")

PAGE = 100
OVERALL = "all"

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
    return Request.post(path, json, headers=_headers(account), costs=_costs("POST", path), places=places)


def _headers(account: Account) -> dict[str, str]:
    return {"paptrading": "1"} if account.options.get("demo") == "1" else {}


def _costs(method: str, path: str) -> dict[str, int]:
    return {f"{method} {path}": 1, OVERALL: 1}


def pages(
    request: Request, cursor: str, read: Callable[[Response], tuple[list[T], str]], *, most: int, whole: bool = False
) -> Flow[list[T]]:
    """Ask for page after page, newest first, until one is not full.

    Args:
        request: For the first page.
        cursor: Name of the query field that asks for older rows.
        read: Returns a page's rows and the cursor of the next page.
        most: Stop after this many pages.
        whole: Whether a list that is longer than that is an error, not merely cut.
    """
    rows: list[T] = []
    page = request
    for _ in range(most):
        found, older = read((yield page))
        rows += found
        if len(found) < PAGE or not older:
            return rows
        page = request.with_query(sorted([*request.query, (cursor, older)]))
    if whole:
        raise OutcomeUnknown(f"Bitget lists more than {len(rows)} orders, too many to read at once")
    return rows


# Numbers


def decimal(number: Number) -> Decimal | None:
    """Return a number of Bitget's, or `None` where it sent none."""
    text = bytes(number).decode(errors="replace").strip('"')
    if text in ("", "null"):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise OutcomeUnknown(f"Bitget sent {text[:40]} where a number belongs")
    return value


def amount(number: Number) -> Decimal:
    """Return a number of Bitget's, none being zero."""
    return decimal(number) or Decimal(0)


def positive(number: Number) -> Decimal | None:
    """Return a number of Bitget's, zero being none."""
    return decimal(number) or None


def milliseconds(number: Number) -> int:
    """Return a time of Bitget's in milliseconds; a few replies have seconds."""
    value = int(amount(number))
    return value * 1000 if 0 < value < 100_000_000_000 else value


def plain(value: Decimal) -> str:
    """Return `value` as Bitget reads it: no exponent."""
    return format(value, "f")


# Balances


class Asset(msgspec.Struct):
    """A coin. Only v2 has `frozen`, for money in orders; its `locked` is for the rest."""

    coin: str
    available: Number = NO_NUMBER
    frozen: Number = NO_NUMBER
    locked: Number = NO_NUMBER


def holdings(rows: Iterable[Asset]) -> list[Balance]:
    """Return what `rows` say, without zeros."""
    found = (Balance(row.coin.upper(), amount(row.available), amount(row.frozen) + amount(row.locked)) for row in rows)
    return [balance for balance in found if balance.free or balance.locked]


# Placing


def size_text(order: Order) -> str:
    """Return the order's size in the unit Bitget takes: quote for a market buy, base for all else."""
    market = order.market
    wants_quote = order.side == "buy" and order.type in ("market", "stop_market")
    if isinstance(order.size, Quote) != wants_quote:
        unit, other = (market.quote, market.base) if wants_quote else (market.base, market.quote)
        what = "a market buy" if wants_quote else "this order"
        raise UserError(f"Bitget takes the size of {what} in {unit}, not in {other}. Give it in {unit}.", code="UNIT")
    return plain(order.size.amount)


def price_text(value: Decimal | None, name: str) -> str:
    """Return a price that the order must have."""
    if value is None:
        raise UserError(f"This order needs a {name}. Nothing was placed.", code="PRICE_MISSING")
    return plain(value)


def force_text(order: Order) -> str:
    """Return Bitget's word for how long the order rests."""
    if not order.post_only:
        return order.time_in_force.lower()
    if order.time_in_force != "GTC":
        raise UserError("A post-only order must be GTC on Bitget. Leave out IOC or FOK.", code="UNSUPPORTED")
    return "post_only"


class _Ack(msgspec.Struct, rename="camel"):
    order_id: str


def parse_ack(response: Response, order: Order) -> OrderAck:
    return OrderAck(response.decode(Reply[_Ack]).data.order_id, order.client_order_id)


# Orders and fills. Rows are spelled as in v2: v3 names some fields differently, and lists differ among themselves.


class Row(msgspec.Struct, rename="camel", kw_only=True):
    """What orders and fills share."""

    id: str
    symbol: str
    side: Side
    fee_detail: msgspec.Raw = NO_NUMBER
    created: Number = msgspec.field(name="cTime", default=NO_NUMBER)


class OrderRow(Row, rename="camel", kw_only=True):
    id: str = msgspec.field(name="orderId")
    order_type: Literal["limit", "market"]
    status: str
    client_oid: str | None = None
    price: Number = NO_NUMBER
    average: Number = msgspec.field(name="priceAvg", default=NO_NUMBER)
    size: Number = NO_NUMBER
    filled: Number = msgspec.field(name="baseVolume", default=NO_NUMBER)
    trigger_price: Number = NO_NUMBER
    cancel_reason: str | None = None


class FillRow(Row, rename="camel", kw_only=True):
    id: str = msgspec.field(name="tradeId")
    order_id: str
    price: Number = msgspec.field(name="priceAvg")
    size: Number
    trade_scope: str | None = None


def state(status: str, filled: Decimal) -> ReportState:
    """Return the state Bitget's word stands for."""
    found = _STATES.get(status.lower())
    if found is None:
        raise OutcomeUnknown(f"Bitget reports an order state this version does not know: {status[:40]!r}")
    return "partially_filled" if found == "open" and filled else found


def report(row: OrderRow, fee: Fee = NO_FEE) -> OrderReport:
    filled = amount(row.filled)
    is_limit = row.order_type == "limit"
    reason = row.cancel_reason or ""
    return OrderReport(
        exchange_order_id=row.id,
        client_order_id=row.client_oid or "",
        exchange_symbol=row.symbol.upper(),
        side=row.side,
        type=row.order_type,
        state=state(row.status, filled),
        filled=filled,
        average_price=positive(row.average) if filled else None,
        quantity=positive(row.size) if is_limit or row.side == "sell" else None,
        price=positive(row.price) if is_limit else None,
        stop_price=positive(row.trigger_price),
        fee=fee[0],
        fee_asset=fee[1],
        reason=_REASONS.get(reason, reason),
        created_ms=milliseconds(row.created),
    )


def order_key(order: Order, exchange_order_id: str) -> dict[str, str]:
    """Return what names the order in a request: Bitget's id, or ours while theirs is not known."""
    return {"orderId": exchange_order_id} if exchange_order_id else {"clientOid": order.client_order_id}


def known(found: list[OrderReport]) -> OrderReport:
    """Return the order that a look-up found."""
    if not found:
        raise OrderNotFound("Bitget knows no such order", remedy="It may be older than 90 days.")
    return found[0]


def find(order: Order, *looks: Flow[list[OrderReport]]) -> Flow[OrderReport | None]:
    """Return the order from the first list that has it, or `None` when all were read and none has."""
    for look in looks:
        try:
            reports = yield from look
        except OrderNotFound:
            continue
        for each in reports:
            if each.client_order_id == order.client_order_id:
                return each
    return None


def fill(row: FillRow) -> Fill:
    fee, fee_asset = fee_of(row.fee_detail)
    return Fill(
        trade_id=row.id,
        exchange_order_id=row.order_id,
        exchange_symbol=row.symbol.upper(),
        side=row.side,
        price=amount(row.price),
        quantity=amount(row.size),
        fee=fee or Decimal(0),
        fee_asset=fee_asset,
        is_maker=row.trade_scope == "maker",
        at_ms=milliseconds(row.created),
    )


# Fees. Bitget has three shapes of `feeDetail`; paid is negative in v2 and positive in v3.


class _Fee(msgspec.Struct, rename="camel"):
    fee_coin: str = ""
    fee_coin_code: str = ""
    fee: Number = NO_NUMBER
    total_fee: Number = NO_NUMBER
    t: Number = NO_NUMBER


def order_fee(detail: msgspec.Raw, side: Side, market: Market | None) -> Fee:
    """Return a v2 order's fee: `detail` is JSON text inside a string, and often empty."""
    try:
        fees = msgspec.json.decode(msgspec.json.decode(detail, type=str), type=dict[str, _Fee])
        total = decimal(fees["newFees"].t) if "newFees" in fees else None
        if total is not None and market is not None:
            return -total, market.base if side == "buy" else market.quote
        for older in fees.values():
            total = decimal(older.total_fee)
            if total is not None and older.fee_coin_code:
                return -total, older.fee_coin_code.upper()
    except (msgspec.DecodeError, OutcomeUnknown):
        pass  # A fee that cannot be read must not hide the order.
    return NO_FEE


def fee_of(detail: msgspec.Raw) -> Fee:
    """Return the fee of a v2 fill, an object, or of a v3 order or fill, a list in which an entry may be null."""
    try:
        found = msgspec.json.decode(detail, type=list[_Fee | None] | _Fee)
        entries = [each for each in (found if isinstance(found, list) else [found]) if each is not None]
        asset = entries[0].fee_coin
        fees = (amount(each.fee) - amount(each.total_fee) for each in entries if each.fee_coin == asset)
        return (sum(fees, Decimal(0)), asset.upper()) if asset else NO_FEE
    except (msgspec.DecodeError, OutcomeUnknown, IndexError):
        return NO_FEE
