"""The journal: the only writer of an order's state.

Every function takes the connection of a running transaction, so that a change of state, the event that records it and
the message that will tell it are committed together or not at all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from bot.contract.errors import BotError, UserError
from bot.contract.models import Base, ClientId, Market, Order, OrderReport, Quote, Side
from bot.store.database import Connection, Row
from bot.trading.draft import Draft
from bot.trading.law import DOUBTFUL, ENDS, LAW, LIVE, State

PROPOSAL_SECONDS = 60
SEND_SECONDS = 15


class IllegalTransition(BotError):
    """An order was asked to go where the law does not lead; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One order as the journal has it. See `bot.store.schema` for the columns."""

    id: int
    account_id: int
    user_id: int
    exchange: str
    symbol: str
    side: Side
    state: State
    reason: str
    params: dict[str, Any]
    params_hash: bytes
    intent: str
    client_order_id: str
    exchange_order_id: str
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
        return self.order.market

    @property
    def quantity(self) -> Decimal:
        """Base asset ordered; an estimate for a size in quote."""
        return Decimal(self.params["quantity"])

    @property
    def notional(self) -> Decimal:
        """Quote asset ordered; an estimate for a market order."""
        return Decimal(self.params["notional"])

    @property
    def is_done(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ENDS


def install_law(db: Connection) -> None:
    """Give the database's trigger the table of `bot.trading.law`."""
    db.execute("DELETE FROM law")
    db.executemany("INSERT INTO law VALUES (?, ?)", [(a, b) for a, targets in LAW.items() for b in targets])


def propose(
    db: Connection,
    *,
    account_id: int,
    user_id: int,
    exchange: str,
    market: Market,
    draft: Draft,
    intent: str,
    chat_id: int,
    message_id: int | None,
    now_ms: int,
) -> OrderRow:
    """Store a frozen order that waits for its owner's Confirm, and the card that shows it.

    Args:
        message_id: The card to take over from an earlier proposal, or `None` for a new message.

    Raises:
        UserError: The same account, pair and side has an order in doubt, or the card's order is under way.
    """
    _refuse_while_in_doubt(db, account_id, market.symbol, draft.side)
    if message_id is not None:
        _give_up_card(db, chat_id, message_id, now_ms)
    params = frozen(draft, market)
    cursor = db.execute(
        "INSERT INTO orders(account_id, user_id, exchange, symbol, side, state, params, params_hash, intent, chat_id,"
        " message_id, expires_ms, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, 'proposed', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account_id,
            user_id,
            exchange,
            market.symbol,
            draft.side,
            _dump(params),
            params_hash(account_id, params),
            intent,
            chat_id,
            message_id,
            now_ms + PROPOSAL_SECONDS * 1000,
            now_ms,
            now_ms,
        ),
    )
    order_id = int(cursor.lastrowid or 0)
    record(db, kind="proposed", detail=params, now_ms=now_ms, user_id=user_id, order_id=order_id)
    tell(db, order_id, now_ms)
    return get(db, order_id)


def confirm(db: Connection, order_id: int, *, user_id: int, rule: ClientId, now_ms: int) -> OrderRow | None:
    """Confirm a proposal and mint its client order id. Only the first of any number of calls does it.

    Returns:
        The confirmed order, or `None` when it is no longer a live proposal of this user.

    Raises:
        UserError: The same account, pair and side has an order in doubt.
    """
    row = get(db, order_id)
    if row.state != "proposed" or row.user_id != user_id or row.expires_ms <= now_ms:
        return None
    if params_hash(row.account_id, row.params) != row.params_hash:
        raise BotError(f"Order #{order_id} was changed since it was shown. It will not be sent.")
    _refuse_while_in_doubt(db, row.account_id, row.symbol, row.side)
    return _move(
        db,
        row,
        "confirmed",
        now_ms,
        client_order_id=mint_client_order_id(db, row, rule),
        expires_ms=now_ms + SEND_SECONDS * 1000,
    )


def begin_sending(db: Connection, order_id: int, *, request_hash: str, window_ends_ms: int | None, now_ms: int) -> None:
    """Commit that the request is about to leave. The first byte may go only after this.

    Raises:
        UserError: The order was not sent in time after its confirmation, or is no longer `confirmed`.
    """
    row = get(db, order_id)
    if row.state != "confirmed" or row.expires_ms <= now_ms:
        raise UserError("It took too long to get the order out, and the price may have moved.", code="TOO_LATE")
    _move(db, row, "sending", now_ms, request_hash=request_hash, window_ends_ms=window_ends_ms, sent_ms=now_ms)


def accept(db: Connection, order_id: int, exchange_order_id: str, now_ms: int) -> OrderRow:
    """Note the exchange's acknowledgement."""
    return _move(db, get(db, order_id), "open", now_ms, exchange_order_id=exchange_order_id)


def end(db: Connection, order_id: int, state: State, reason: str, now_ms: int) -> OrderRow:
    """Move an order to `state` for `reason`."""
    return _move(db, get(db, order_id), state, now_ms, reason=reason)


def apply_report(db: Connection, order_id: int, report: OrderReport, now_ms: int) -> OrderRow:
    """Take over what the exchange says of an order. Never lets a filled quantity shrink, never reopens an end."""
    row = get(db, order_id)
    if row.is_done and (row.state != "not_placed" or report.state == "rejected"):
        return row
    if report.filled < row.filled:
        return row  # an answer from a stale replica
    state: State = report.state
    if row.state == "partially_filled" and state in ("open", "rejected"):
        state = "partially_filled"
    columns: dict[str, Any] = {
        "exchange_order_id": report.exchange_order_id,
        "filled": _text(report.filled),
        "average_price": _text(report.average_price),
        "fee": _text(report.fee) if report.fee is not None else _text(row.fee),
        "fee_asset": report.fee_asset or row.fee_asset,
        "reason": report.reason,
        "misses": 0,
    }
    if row.state == "not_placed":
        columns["late"] = 1
    unchanged = (
        row.state == state
        and row.filled == report.filled
        and row.exchange_order_id == report.exchange_order_id
        and (report.fee is None or report.fee == row.fee)
    )
    return row if unchanged else _move(db, row, state, now_ms, **columns)


def count_miss(db: Connection, order_id: int, now_ms: int) -> OrderRow:
    """Note that the exchange, asked cleanly, did not show the order."""
    row = get(db, order_id)
    db.execute("UPDATE orders SET misses=misses+1, last_miss_ms=? WHERE id=?", (now_ms, order_id))
    record(db, kind="not found", detail={"misses": row.misses + 1}, now_ms=now_ms, order_id=order_id)
    return get(db, order_id)


def request_cancel(db: Connection, order_id: int, now_ms: int) -> OrderRow:
    """Note that a cancel was asked for. Not believed until the exchange reports it."""
    db.execute("UPDATE orders SET cancel_requested_ms=? WHERE id=?", (now_ms, order_id))
    record(db, kind="cancel requested", detail={}, now_ms=now_ms, order_id=order_id)
    tell(db, order_id, now_ms)
    return get(db, order_id)


def refuse_cancel(db: Connection, order_id: int, reason: str, now_ms: int) -> OrderRow:
    """Note that the cancel failed; the order goes on."""
    db.execute("UPDATE orders SET cancel_requested_ms=NULL, reason=? WHERE id=?", (reason, order_id))
    record(db, kind="cancel refused", detail={"reason": reason}, now_ms=now_ms, order_id=order_id)
    tell(db, order_id, now_ms)
    return get(db, order_id)


def expire_old(db: Connection, now_ms: int) -> list[OrderRow]:
    """End the proposals nobody confirmed in time and the confirmed orders that never left."""
    due = "SELECT * FROM orders WHERE state IN ('proposed', 'confirmed') AND expires_ms<=?"
    return [
        _move(db, _row(found), "expired", now_ms, reason="Nobody pressed Confirm in time.")
        for found in db.execute(due, (now_ms,)).fetchall()
    ]


def recover(db: Connection, now_ms: int) -> None:
    """Set right what a crash left behind: what was being sent is in doubt, what was not yet sent never will be."""
    for found in db.execute("SELECT * FROM orders WHERE state='sending'").fetchall():
        _move(db, _row(found), "unknown", now_ms, reason="The bot stopped while the order was being sent.")
    for found in db.execute("SELECT * FROM orders WHERE state='confirmed'").fetchall():
        _move(db, _row(found), "not_placed", now_ms, reason="The bot stopped before the order was sent.")


def get(db: Connection, order_id: int) -> OrderRow:
    """Return one order.

    Raises:
        UserError: There is none with this number.
    """
    found = db.execute("SELECT * FROM orders WHERE id=?", (order_id,)).fetchone()
    if found is None:
        raise _no_order(order_id)
    return _row(found)


def get_own(db: Connection, order_id: int, user_id: int) -> OrderRow:
    """Return one of `user_id`'s orders; another's is as if it did not exist.

    Raises:
        UserError: There is none with this number.
    """
    found = db.execute("SELECT * FROM orders WHERE id=? AND user_id=?", (order_id, user_id)).fetchone()
    if found is None:
        raise _no_order(order_id)
    return _row(found)


def in_states(db: Connection, states: tuple[State, ...], account_id: int | None = None) -> list[OrderRow]:
    """Return all orders in `states`, oldest first."""
    marks = ",".join("?" * len(states))
    query = f"SELECT * FROM orders WHERE state IN ({marks})"  # noqa: S608  # only question marks
    rows = db.execute(query + " ORDER BY id", states).fetchall()
    return [_row(row) for row in rows if account_id in (None, row["account_id"])]


def watched(db: Connection, now_ms: int) -> list[OrderRow]:
    """Return the orders the bot must look after: live, in doubt, or sent in the last day and held to be absent."""
    late = "SELECT * FROM orders WHERE state='not_placed' AND sent_ms>? AND misses>0"
    recent = db.execute(late, (now_ms - 86_400_000,)).fetchall()
    return in_states(db, (*LIVE, *DOUBTFUL)) + [_row(row) for row in recent]


def recent(db: Connection, user_id: int, most: int) -> list[OrderRow]:
    """Return a user's newest orders that were at least confirmed, newest first."""
    query = "SELECT * FROM orders WHERE user_id=? AND client_order_id IS NOT NULL ORDER BY id DESC LIMIT ?"
    return [_row(row) for row in db.execute(query, (user_id, most)).fetchall()]


def timeline(db: Connection, order_id: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Return an order's events as (time in UTC ms, kind, detail), oldest first."""
    query = "SELECT at_ms, kind, detail FROM events WHERE order_id=? ORDER BY id"
    return [(row["at_ms"], row["kind"], json.loads(row["detail"])) for row in db.execute(query, (order_id,))]


def record(
    db: Connection,
    *,
    kind: str,
    detail: dict[str, Any],
    now_ms: int,
    user_id: int | None = None,
    order_id: int | None = None,
) -> None:
    """Append an event to the one chain: each carries the hash of itself and the one before."""
    last = db.execute("SELECT hash FROM events ORDER BY id DESC LIMIT 1").fetchone()
    text = _dump(detail)
    link = (last["hash"].hex() if last else "", now_ms, user_id, order_id, kind, text)
    digest = hashlib.sha256(_dump(link).encode()).digest()
    db.execute(
        "INSERT INTO events(at_ms, user_id, order_id, kind, detail, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (now_ms, user_id, order_id, kind, text, digest),
    )


def tell(db: Connection, order_id: int, now_ms: int) -> None:
    """Note that the order's card must be drawn again."""
    db.execute(
        "INSERT INTO outbox(chat_id, order_id, created_ms) SELECT chat_id, id, ? FROM orders WHERE id=?",
        (now_ms, order_id),
    )


def mint_client_order_id(db: Connection, row: OrderRow, rule: ClientId) -> str:
    """Return the one client order id of an order, by the exchange's rule.

    A text id is derived from the order's number under a key of this instance, so that nobody can guess it and two
    instances never share one. A counter rises per account from a random start.
    """
    if rule.kind == "counter":
        query = "SELECT max(CAST(client_order_id AS INTEGER)) AS last FROM orders WHERE account_id=?"
        last = db.execute(query, (row.account_id,)).fetchone()["last"]
        following = secrets.randbelow(1_000_000_000) + 1 if last is None else last + 1
        if following > rule.max_value:
            raise UserError("This account has used up its order numbers. Connect the key under a new label.")
        return str(following)
    key = bytes.fromhex(db.execute("SELECT value FROM meta WHERE key='client_id_key'").fetchone()["value"])
    digest = hmac.new(key, str(row.id).encode(), hashlib.sha256).digest()
    return ("t" + base64.b32encode(digest).decode().lower())[: min(26, rule.max_length)]


def frozen(draft: Draft, market: Market) -> dict[str, Any]:
    """Return what the preview shows and the exchange will get, as plain values."""
    return {
        "symbol": market.symbol,
        "exchange_symbol": market.exchange_symbol,
        "base": market.base,
        "quote": market.quote,
        "price_step": _text(market.price_step),
        "quantity_step": _text(market.quantity_step),
        "quote_step": _text(market.quote_step),
        "side": draft.side,
        "type": draft.type,
        "size": _text(draft.size.amount),
        "size_in": "quote" if isinstance(draft.size, Quote) else "base",
        "price": _text(draft.price),
        "stop_price": _text(draft.stop_price),
        "time_in_force": draft.time_in_force,
        "post_only": draft.post_only,
        "reference_price": _text(draft.reference_price),
        "quantity": _text(draft.quantity_estimate),
        "notional": _text(draft.notional_estimate),
        "average_price": _text(draft.average_price_estimate),
        "fee": _text(draft.fee_estimate),
        "spends": draft.spends_asset,
        "free_after": _text(draft.free_after),
        "warnings": list(draft.warnings),
    }


def params_hash(account_id: int, params: dict[str, Any]) -> bytes:
    """Return what binds a card, its buttons and its order to one another."""
    return hashlib.sha256(_dump([account_id, params]).encode()).digest()


def _order(params: dict[str, Any], client_order_id: str) -> Order:
    size = Decimal(params["size"])
    return Order(
        client_order_id=client_order_id,
        market=Market(
            symbol=params["symbol"],
            exchange_symbol=params["exchange_symbol"],
            base=params["base"],
            quote=params["quote"],
            price_step=Decimal(params["price_step"]),
            quantity_step=Decimal(params["quantity_step"]),
            quote_step=Decimal(params["quote_step"]),
        ),
        side=params["side"],
        type=params["type"],
        size=Quote(size) if params["size_in"] == "quote" else Base(size),
        price=_number(params["price"]),
        stop_price=_number(params["stop_price"]),
        time_in_force=params["time_in_force"],
        post_only=params["post_only"],
        reference_price=_number(params["reference_price"]),
    )


def _refuse_while_in_doubt(db: Connection, account_id: int, symbol: str, side: Side) -> None:
    for row in in_states(db, DOUBTFUL, account_id):
        if (row.symbol, row.side) == (symbol, side):
            raise UserError(
                f"Order #{row.id} ({side} {symbol}) is still in doubt: it may exist. Wait until that is settled, so "
                "that nothing is bought or sold twice.",
                code="IN_DOUBT",
            )


def _give_up_card(db: Connection, chat_id: int, message_id: int, now_ms: int) -> None:
    """Let another order have a card: the one it showed is drawn there no more."""
    query = "SELECT * FROM orders WHERE chat_id=? AND message_id=?"
    for found in db.execute(query, (chat_id, message_id)).fetchall():
        row = _row(found)
        if row.state == "proposed":
            _move(db, row, "expired", now_ms, reason="It was replaced by another preview.")
        elif not row.is_done:
            raise UserError(f"Order #{row.id} is under way; its card cannot be used for another.")
        db.execute("UPDATE orders SET message_id=NULL WHERE id=?", (row.id,))
        db.execute("DELETE FROM outbox WHERE order_id=?", (row.id,))


def _move(db: Connection, row: OrderRow, state: State, now_ms: int, **columns: Any) -> OrderRow:
    if state != row.state and state not in LAW[row.state]:
        raise IllegalTransition(f"order #{row.id} may not go from {row.state} to {state}")
    names = ", ".join(f"{name}=?" for name in columns)
    changed = db.execute(
        f"UPDATE orders SET state=?, updated_ms=?{', ' if names else ''}{names} WHERE id=? AND state=?",  # noqa: S608
        (state, now_ms, *columns.values(), row.id, row.state),
    ).rowcount
    if changed != 1:
        raise IllegalTransition(f"order #{row.id} is no longer {row.state}")
    detail = {name: value for name, value in columns.items() if value not in (None, "") and name != "misses"}
    record(db, kind=state, detail=detail, now_ms=now_ms, user_id=row.user_id, order_id=row.id)
    tell(db, row.id, now_ms)
    return get(db, row.id)


def _row(found: Row) -> OrderRow:
    values = {field.name: found[field.name] for field in fields(OrderRow)}
    values["params"] = json.loads(found["params"])
    values["client_order_id"] = found["client_order_id"] or ""
    values["exchange_order_id"] = found["exchange_order_id"] or ""
    values["filled"] = Decimal(found["filled"])
    values["average_price"], values["fee"] = _number(found["average_price"]), _number(found["fee"])
    values["late"] = bool(found["late"])
    return OrderRow(**values)


def _no_order(order_id: int) -> UserError:
    return UserError(f"There is no order #{order_id} of yours.", code="NO_ORDER")


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
