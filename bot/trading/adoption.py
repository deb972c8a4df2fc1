"""Orders of ours that the database does not know, as after an older backup was restored: adopted, never touched.

An order seen at the exchange under an id of the kind that we mint, and without a row, gets one with the mark
`external`. From then on it is followed as any other, and its owner may cancel it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bot.contract.models import ClientId, Market, OrderReport
from bot.store.database import Connection
from bot.trading import events, journal, queries
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.law import LIVE
from bot.trading.orders import as_json, as_text, params_hash

_MOST_MARKETS = 15
"""Some exchanges list the orders of one market at a time, and a flow may send twenty requests."""
_RECENT = 500


def is_our_kind(rule: ClientId, client_order_id: str) -> bool:
    """Say whether an id looks as if we had minted it by `rule`. Another program's may look so too."""
    if rule.kind == "counter":
        return re.fullmatch("[1-9][0-9]*", client_order_id) is not None and int(client_order_id) <= rule.max_value
    return re.fullmatch(f"t[a-z2-7]{{{min(26, rule.max_length) - 1}}}", client_order_id) is not None


def markets_of(db: Connection, account_id: int, exchange_id: str) -> Sequence[Market]:
    """Return the markets that an account traded last, newest first."""
    query = "SELECT id FROM orders WHERE account_id=? AND exchange=? ORDER BY id DESC LIMIT ?"
    rows = [queries.get(db, found["id"]) for found in db.execute(query, (account_id, exchange_id, _RECENT)).fetchall()]
    markets: dict[str, Market] = {}
    for row in rows:
        markets.setdefault(row.symbol, row.market)
    return list(markets.values())[:_MOST_MARKETS]


def compare(
    db: Connection,
    *,
    account_id: int,
    exchange_id: str,
    reports: Iterable[OrderReport],
    markets: Mapping[str, Market],
    rule: ClientId,
    now_ms: int,
) -> list[int]:
    """Compare the open orders at the exchange with ours, and adopt those that only the exchange knows.

    Args:
        db: The running transaction.
        account_id: Whose.
        exchange_id: Where: the real one or the paper one.
        reports: All open orders there, as just listed.
        markets: By the exchange's spelling.
        rule: How our ids are minted there.
        now_ms: The wall clock.

    Returns:
        Our orders that the comparison gives a reason to ask after: open there and not so here, or the reverse.
    """
    account = (account_id, exchange_id)
    listed, ask = set(), []
    for report in reports:
        if known := queries.ids_of(db, *account, report.exchange_order_id, report.client_order_id):
            listed.add(known[0])
            if queries.get(db, known[0]).state not in LIVE:
                ask.append(known[0])
        elif is_our_kind(rule, report.client_order_id) and report.exchange_symbol in markets:
            _adopt(db, account, markets[report.exchange_symbol], report, now_ms)
    live = [row for row in queries.in_states(db, LIVE, account_id) if row.exchange == exchange_id]
    return ask + [row.id for row in live if row.id not in listed]


def _adopt(db: Connection, account: tuple[int, str], market: Market, report: OrderReport, now_ms: int) -> None:
    """Give an order a row. The journal moves it from then on."""
    account_id, exchange_id = account
    user_id = db.execute("SELECT user_id FROM accounts WHERE id=?", (account_id,)).fetchone()["user_id"]
    params = _params(market, report)
    price = Fixed(report.price) if report.price else None
    intent = Intent(report.side, market.symbol, Amount(Decimal(params["quantity"]), market.base), price)
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "exchange": exchange_id,
        "symbol": market.symbol,
        "side": report.side,
        "state": report.state,
        "params": as_json(params),
        "params_hash": params_hash(account_id, params),
        "intent": intent.to_json(),
        "client_order_id": report.client_order_id,
        "exchange_order_id": report.exchange_order_id,
        "filled": as_text(report.filled),
        "average_price": as_text(report.average_price),
        "chat_id": user_id,
        "expires_ms": now_ms,
        "external": 1,
        "created_ms": report.created_ms or now_ms,
        "sent_ms": report.created_ms or now_ms,
        "updated_ms": now_ms,
    }
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    cursor = db.execute(f"INSERT INTO orders({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608  # our names
    order_id = int(cursor.lastrowid or 0)
    events.record(db, kind="adopted", detail=params, now_ms=now_ms, user_id=user_id, order_id=order_id)
    journal.tell(db, order_id, now_ms)


def _params(market: Market, report: OrderReport) -> dict[str, Any]:
    quantity = report.filled if report.quantity is None else report.quantity
    price = report.price or report.stop_price or Decimal(0)
    return {
        "symbol": market.symbol,
        "exchange_symbol": market.exchange_symbol,
        "base": market.base,
        "quote": market.quote,
        "price_step": as_text(market.price_step),
        "quantity_step": as_text(market.quantity_step),
        "quote_step": as_text(market.quote_step),
        "side": report.side,
        "type": report.type,
        "size": as_text(quantity),
        "size_in": "base",
        "price": as_text(report.price or None),
        "stop_price": as_text(report.stop_price or None),
        "time_in_force": "GTC",
        "post_only": False,
        "reference_price": None,
        "quantity": as_text(quantity),
        "notional": as_text(quantity * price),
        "warnings": [],
    }
