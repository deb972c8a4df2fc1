"""The journal: the only writer of an order's state.

Every function takes the connection of a running transaction, so that a change of state, the event that records it and
the message that will tell it are committed together or not at all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import replace
from typing import Any

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.contract.errors import BotError, UserError
from bot.contract.models import ClientId, Market, OrderReport, Side
from bot.store.database import Connection
from bot.trading import events
from bot.trading.draft import Draft
from bot.trading.law import DOUBTFUL, LAW, LIVE, State
from bot.trading.orders import OrderRow, as_json, as_text, frozen, params_hash, row_of

PROPOSAL_SECONDS = 60
SEND_SECONDS = 15
_SENDING_SECONDS = 60


class IllegalTransition(BotError):
    """An order was asked to go where the law does not lead; nothing was changed."""


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
    asked_in: int | None = None,
    now_ms: int,
) -> OrderRow:
    """Store a frozen order that waits for its owner's Confirm, and the card that shows it.

    Args:
        message_id: The card to take over from an earlier proposal, or `None` for a new message.
        asked_in: The message that asked for it. It is answered by this commit, and not run again after a crash.

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
            as_json(params),
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
    events.record(db, kind="proposed", detail=params, now_ms=now_ms, user_id=user_id, order_id=order_id)
    tell(db, order_id, now_ms)
    if asked_in is not None:
        db.execute("UPDATE inbox SET payload=NULL WHERE chat_id=? AND message_id=?", (chat_id, asked_in))
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
        UserError: The order was not sent in time after its confirmation, is no longer `confirmed`, or the same
            account, pair and side has an order in doubt since.
    """
    row = get(db, order_id)
    if row.state != "confirmed" or row.expires_ms <= now_ms:
        raise UserError("It took too long to get the order out, and the price may have moved.", code="TOO_LATE")
    _refuse_while_in_doubt(db, row.account_id, row.symbol, row.side)
    _move(db, row, "sending", now_ms, request_hash=request_hash, window_ends_ms=window_ends_ms, sent_ms=now_ms)


def accept(db: Connection, order_id: int, exchange_order_id: str, now_ms: int) -> OrderRow:
    """Note the exchange's acknowledgement."""
    row = get(db, order_id)
    late = int(row.late or row.state == "not_placed")
    return _move(db, row, "open", now_ms, exchange_order_id=exchange_order_id, late=late)


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
        "filled": as_text(report.filled),
        "average_price": as_text(row.average_price if report.average_price is None else report.average_price),
        "fee": as_text(report.fee) if report.fee is not None else as_text(row.fee),
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
    events.record(db, kind="not found", detail={"misses": row.misses + 1}, now_ms=now_ms, order_id=order_id)
    return get(db, order_id)


def request_cancel(db: Connection, order_id: int, now_ms: int) -> OrderRow:
    """Note that a cancel was asked for. Not believed until the exchange reports it."""
    db.execute("UPDATE orders SET cancel_requested_ms=? WHERE id=?", (now_ms, order_id))
    events.record(db, kind="cancel requested", detail={}, now_ms=now_ms, order_id=order_id)
    tell(db, order_id, now_ms)
    return get(db, order_id)


def refuse_cancel(db: Connection, order_id: int, reason: str, now_ms: int) -> OrderRow:
    """Note that the cancel failed; the order goes on, unless it ended meanwhile."""
    if get(db, order_id).is_done:
        return get(db, order_id)
    db.execute("UPDATE orders SET cancel_requested_ms=NULL, reason=? WHERE id=?", (reason, order_id))
    events.record(db, kind="cancel refused", detail={"reason": reason}, now_ms=now_ms, order_id=order_id)
    tell(db, order_id, now_ms)
    return get(db, order_id)


def expire_old(db: Connection, now_ms: int) -> list[OrderRow]:
    """End the proposals nobody confirmed in time and the confirmed orders that never left.

    An order whose outcome could not be stored, the disk being full, is put in doubt here, as a restart would.
    """
    rows = in_states(db, ("proposed", "confirmed", "sending"))
    ends: dict[State, tuple[State, str]] = {
        "proposed": ("expired", "Nobody pressed Confirm in time."),
        "confirmed": ("expired", "It did not get out in time after it was confirmed. Nothing was sent."),
        "sending": ("unknown", "What became of the request was not stored."),
    }
    lost_ms = now_ms - _SENDING_SECONDS * 1000
    due = [
        row for row in rows if ((row.sent_ms or 0) <= lost_ms if row.state == "sending" else row.expires_ms <= now_ms)
    ]
    return [_move(db, row, ends[row.state][0], now_ms, reason=ends[row.state][1]) for row in due]


def recover(db: Connection, now_ms: int) -> None:
    """Set right what a crash left behind: what was being sent is in doubt, what was not yet sent never will be."""
    for found in db.execute("SELECT * FROM orders WHERE state='sending'").fetchall():
        _move(db, row_of(found), "unknown", now_ms, reason="The bot stopped while the order was being sent.")
    for found in db.execute("SELECT * FROM orders WHERE state='confirmed'").fetchall():
        _move(db, row_of(found), "not_placed", now_ms, reason="The bot stopped before the order was sent.")


def get(db: Connection, order_id: int) -> OrderRow:
    """Return one order.

    Raises:
        UserError: There is none with this number.
    """
    found = db.execute("SELECT * FROM orders WHERE id=?", (order_id,)).fetchone()
    if found is None:
        raise _no_order(order_id)
    return row_of(found)


def get_own(db: Connection, order_id: int, user_id: int) -> OrderRow:
    """Return one of `user_id`'s orders; another's is as if it did not exist.

    Raises:
        UserError: There is none with this number.
    """
    found = db.execute("SELECT * FROM orders WHERE id=? AND user_id=?", (order_id, user_id)).fetchone()
    if found is None:
        raise _no_order(order_id)
    return row_of(found)


def is_anothers(db: Connection, row: OrderRow, exchange_order_id: str) -> bool:
    """Say whether another order of the same account already has this id at the exchange."""
    query = "SELECT 1 FROM orders WHERE account_id=? AND exchange=? AND exchange_order_id=? AND id<>?"
    found = db.execute(query, (row.account_id, row.exchange, exchange_order_id, row.id)).fetchone()
    return found is not None


def account_of(db: Connection, row: OrderRow) -> AccountRow:
    """Return the account of an order: real or on paper as the order was drafted, whatever was switched since."""
    return replace(people.known_account(db, row.account_id), paper=row.exchange.endswith(":paper"))


def in_states(db: Connection, states: tuple[State, ...], account_id: int | None = None) -> list[OrderRow]:
    """Return all orders in `states`, oldest first."""
    marks = ",".join("?" * len(states))
    query = f"SELECT * FROM orders WHERE state IN ({marks})"  # noqa: S608  # only question marks
    rows = db.execute(query + " ORDER BY id", states).fetchall()
    return [row_of(row) for row in rows if account_id in (None, row["account_id"])]


def watched(db: Connection, now_ms: int) -> list[OrderRow]:
    """Return the orders the bot must look after: live, in doubt, or sent in the last day and held to be absent."""
    late = "SELECT * FROM orders WHERE state='not_placed' AND sent_ms>? AND misses>0"
    recent = db.execute(late, (now_ms - 86_400_000,)).fetchall()
    return in_states(db, (*LIVE, *DOUBTFUL)) + [row_of(row) for row in recent]


def recent(db: Connection, user_id: int, most: int) -> list[OrderRow]:
    """Return a user's newest orders that were at least confirmed, newest first."""
    query = "SELECT * FROM orders WHERE user_id=? AND client_order_id IS NOT NULL ORDER BY id DESC LIMIT ?"
    return [row_of(row) for row in db.execute(query, (user_id, most)).fetchall()]


def tell(db: Connection, order_id: int, now_ms: int) -> None:
    """Note that the order's card must be drawn again."""
    db.execute(
        "INSERT INTO outbox(chat_id, order_id, created_ms) SELECT chat_id, id, ? FROM orders WHERE id=?",
        (now_ms, order_id),
    )


def mint_client_order_id(db: Connection, row: OrderRow, rule: ClientId) -> str:
    """Return the one client order id of an order, by the exchange's rule.

    A text id is derived from the order's number and time under a key of this instance, so that nobody can guess it,
    two instances never share one, and a number that an old backup gives again has another. A counter rises per account
    from a random start.
    """
    if rule.kind == "counter":
        query = "SELECT max(CAST(client_order_id AS INTEGER)) AS last FROM orders WHERE account_id=?"
        last = db.execute(query, (row.account_id,)).fetchone()["last"]
        following = secrets.randbelow(min(1_000_000_000, (rule.max_value + 1) // 2)) + 1 if last is None else last + 1
        if following > rule.max_value:
            raise UserError("This account has used up its order numbers. Connect the key under a new label.")
        return str(following)
    key = bytes.fromhex(db.execute("SELECT value FROM meta WHERE key='client_id_key'").fetchone()["value"])
    digest = hmac.new(key, f"{row.id} {row.created_ms}".encode(), hashlib.sha256).digest()
    return ("t" + base64.b32encode(digest).decode().lower())[: min(26, rule.max_length)]


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
        row = row_of(found)
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
    events.record(db, kind=state, detail=detail, now_ms=now_ms, user_id=row.user_id, order_id=row.id)
    tell(db, row.id, now_ms)
    return get(db, row.id)


def _no_order(order_id: int) -> UserError:
    return UserError(f"There is no order #{order_id} of yours.", code="NO_ORDER")
