"""The journal: the only writer of an order's state.

Every function takes the connection of a running transaction, so that a change of state, the event that records it and
the message that will tell it are committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from bot.contract.errors import BotError, UserError
from bot.contract.models import ClientId, Market, Side
from bot.redact import redactor
from bot.store.database import Connection
from bot.trading import allowance, client_ids, events, groups, halt, limits, notices, queries
from bot.trading.allowance import UNKNOWN, Facts
from bot.trading.draft import Draft
from bot.trading.errors import ApprovalNeeded, IllegalTransition, InDoubt, Stays
from bot.trading.law import LAW, State
from bot.trading.limits import NONE, Limits
from bot.trading.orders import OrderRow, as_json, frozen, params_hash, row_of

PROPOSAL_SECONDS = 60
SEND_SECONDS = 15
APPROVAL_SECONDS = 300
_OURS = ("client_order_id", "expires_ms", "request_hash", "window_ends_ms", "sent_ms", "late")
"""Columns that the bot makes up itself. What an exchange says is in none of them."""
TOO_LATE = "It took too long to get the order out, and the price may have moved."


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
    despite: Collection[int] = (),
    facts: Facts = UNKNOWN,
    ceiling: Limits = NONE,
    now_ms: int,
) -> OrderRow:
    """Store a frozen order that waits for its owner's Confirm, and the card that shows it.

    Args:
        message_id: The card to take over from an earlier proposal, or `None` for a new message.
        asked_in: The message that asked for it. It is answered by this commit, and not run again after a crash.
        despite: Orders in doubt of which the owner said that this one is wanted all the same.
        facts: What limits look at; frozen with the order.
        ceiling: The limits of the configuration.

    Raises:
        InDoubt: The same account, pair and side has another order in doubt.
        UserError: The card's order is under way; trading is halted, or a limit forbids the order.
    """
    halt.refuse(db, user_id, now_ms)
    own = limits.read(db, user_id, ceiling, now_ms)
    asked = allowance.Order(user_id, exchange, market.symbol, draft.side, facts, draft.price is not None)
    allowance.check(db, own, asked, now_ms)
    draft = replace(draft, warnings=(*draft.warnings, *allowance.warnings(db, asked, draft, now_ms)))
    _refuse_while_in_doubt(db, account_id, market.symbol, draft.side, despite)
    if message_id is not None:
        _give_up_card(db, chat_id, message_id, now_ms)
    params = frozen(draft, market)
    params["limits"] = {**facts.to_params(), "asks_code": allowance.needs_code(own, facts)}
    if despite:
        params["despite"] = sorted(despite)
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
    _tell(db, order_id, chat_id, now_ms)
    if asked_in is not None:
        db.execute("UPDATE inbox SET payload=NULL WHERE chat_id=? AND message_id=?", (chat_id, asked_in))
    return queries.get(db, order_id)


def confirm(
    db: Connection,
    order_id: int,
    *,
    user_id: int,
    rule: ClientId,
    ceiling: Limits = NONE,
    has_code: bool = False,
    approver: int | None = None,
    now_ms: int,
) -> OrderRow | None:
    """Confirm a proposal and mint its client order id. Only the first of any number of calls does it.

    Args:
        db: The running transaction.
        order_id: Which.
        user_id: Whose it must be.
        rule: How the exchange wants client order ids.
        ceiling: The limits of the configuration.
        has_code: Whether its owner gave a code of the second factor for it.
        approver: The second person, where one approved it.
        now_ms: The wall clock.

    Returns:
        The confirmed order, or `None` when it is no longer a live proposal of this user.

    Raises:
        InDoubt: The same account, pair and side has an order in doubt.
        UserError: One that was in doubt is settled, and its card does not tell yet: whoever presses cannot know.
        ApprovalNeeded: A second person must approve it.
        UserError: Trading is halted, a limit forbids the order, or `NEEDS_CODE`.
    """
    row = queries.get(db, order_id)
    if row.state != "proposed" or row.user_id != user_id or row.expires_ms <= now_ms:
        return None
    _check_confirmable(db, row, ceiling, has_code=has_code, approver=approver, now_ms=now_ms)
    return _confirm(db, row, rule, now_ms)


def confirm_and_send(
    db: Connection,
    order_id: int,
    *,
    user_id: int,
    rule: ClientId,
    client_order_id: str,
    request_hash: str,
    window_ends_ms: int | None,
    ceiling: Limits = NONE,
    now_ms: int,
) -> OrderRow:
    """Do as `confirm` and `begin_sending` in one step, for a request that was signed already and waits for nothing.

    Args:
        db: The running transaction.
        order_id: Which.
        user_id: Whose it must be.
        rule: How the exchange wants client order ids.
        client_order_id: The one that was signed.
        request_hash: Of the signed request.
        window_ends_ms: Exchange time after which it can no longer be accepted, or `None` when not documented.
        ceiling: The limits of the configuration.
        now_ms: The wall clock.

    Returns:
        The order, `sending`.

    Raises:
        Stays: It is no longer a live proposal of this user, or would get another id than the one that was signed. The
            transaction must be undone.
        BotError: As `confirm`.
    """
    row = queries.get(db, order_id)
    if row.state != "proposed" or row.user_id != user_id or row.expires_ms <= now_ms:
        raise Stays
    _check_confirmable(db, row, ceiling, has_code=False, approver=None, now_ms=now_ms)
    if client_ids.mint(db, row, rule) != client_order_id:
        raise Stays
    return _leave(db, row, request_hash, window_ends_ms, now_ms, reason="", client_order_id=client_order_id)


def _check_confirmable(
    db: Connection, row: OrderRow, ceiling: Limits, *, has_code: bool, approver: int | None, now_ms: int
) -> None:
    order_id = row.id
    if params_hash(row.account_id, row.params) != row.params_hash:
        raise BotError(f"Order #{order_id} was changed since it was shown. It will not be sent.")
    _refuse_while_in_doubt(db, row.account_id, row.symbol, row.side, row.despite)
    if settled := queries.settled_untold(db, row):
        raise UserError(
            f"Order #{settled.id} ({settled.side} {settled.symbol}) was in doubt and is now "
            f"{settled.state.replace('_', ' ')}; its card is about to say so. Nothing was sent. If you still want "
            "this one as well, press Confirm again once you have read it.",
            code="NEWS",
        )
    own, facts = _check_allowed(db, row, ceiling, now_ms)
    if allowance.needs_code(own, facts) and not has_code:
        raise UserError("This order is above your line for codes. Ask for a new preview.", code="NEEDS_CODE")
    if allowance.needs_approval(own, facts) and approver in (None, row.user_id):
        raise ApprovalNeeded


def _confirm(db: Connection, row: OrderRow, rule: ClientId, now_ms: int) -> OrderRow:
    client_order_id, expires_ms = client_ids.mint(db, row, rule), now_ms + SEND_SECONDS * 1000
    columns: dict[str, Any] = {"reason": "", "client_order_id": client_order_id, "expires_ms": expires_ms}
    return move(db, row, "confirmed", now_ms, **columns)


def await_approval(db: Connection, order_id: int, reason: str, now_ms: int) -> OrderRow:
    """Let a proposal wait for a second person, for five minutes from now."""
    db.execute(
        "UPDATE orders SET reason=?, expires_ms=?, updated_ms=? WHERE id=? AND state='proposed'",
        (reason, now_ms + APPROVAL_SECONDS * 1000, now_ms, order_id),
    )
    tell(db, order_id, now_ms)
    return queries.get(db, order_id)


def begin_sending(
    db: Connection,
    order_id: int,
    *,
    request_hash: str,
    window_ends_ms: int | None,
    ceiling: Limits = NONE,
    now_ms: int,
) -> None:
    """Commit that the request is about to leave. The first byte may go only after this.

    Raises:
        UserError: The order was not sent in time after its confirmation, is no longer `confirmed`, or the same
            account, pair and side has an order in doubt since; or trading was halted or a limit reached since.
    """
    row = queries.get(db, order_id)
    if row.state != "confirmed" or row.expires_ms <= now_ms:
        raise UserError(TOO_LATE, code="TOO_LATE")
    _refuse_while_in_doubt(db, row.account_id, row.symbol, row.side, row.despite)
    _check_allowed(db, row, ceiling, now_ms)
    _leave(db, row, request_hash, window_ends_ms, now_ms)


def _leave(
    db: Connection, row: OrderRow, request_hash: str, window_ends_ms: int | None, now_ms: int, **columns: Any
) -> OrderRow:
    columns |= {"request_hash": request_hash, "window_ends_ms": window_ends_ms, "sent_ms": now_ms}
    return move(db, row, "sending", now_ms, **columns)


def accept(db: Connection, order_id: int, exchange_order_id: str, now_ms: int) -> OrderRow:
    """Note the exchange's acknowledgement."""
    row = queries.get(db, order_id)
    late = int(row.late or row.state == "not_placed")
    return move(db, row, "open", now_ms, exchange_order_id=exchange_order_id, late=late)


def end(
    db: Connection,
    order_id: int,
    state: State,
    reason: str,
    now_ms: int,
    *,
    refusal: str = "",
    answer: Mapping[str, str] | None = None,
) -> OrderRow:
    """Move an order to `state` for `reason`.

    Args:
        db: The running transaction.
        order_id: Which.
        state: Where to.
        reason: Why, in words.
        now_ms: The time.
        refusal: Names the kind of error that the exchange refused it with.
        answer: What the exchange said, for the log of events; see `bot.trading.support`.
    """
    return move(db, queries.get(db, order_id), state, now_ms, answer, reason=reason, refusal=refusal)


def never_left(db: Connection, order_id: int, reason: str, now_ms: int) -> OrderRow:
    """End an order of which no byte left. It cannot turn up late, and is not looked for."""
    return move(db, queries.get(db, order_id), "not_placed", now_ms, reason=reason, sent_ms=None)


def request_cancel(db: Connection, order_id: int, now_ms: int) -> OrderRow:
    """Note that a cancel was asked for. Not believed until the exchange reports it."""
    db.execute("UPDATE orders SET cancel_requested_ms=? WHERE id=?", (now_ms, order_id))
    events.record(db, kind="cancel requested", detail={}, now_ms=now_ms, order_id=order_id)
    tell(db, order_id, now_ms)
    return queries.get(db, order_id)


def refuse_cancel(db: Connection, order_id: int, reason: str, now_ms: int) -> OrderRow:
    """Note that the cancel failed; the order goes on, unless it ended meanwhile."""
    if queries.get(db, order_id).is_done:
        return queries.get(db, order_id)
    reason = redactor.redact(reason)
    db.execute("UPDATE orders SET cancel_requested_ms=NULL, reason=? WHERE id=?", (reason, order_id))
    events.record(db, kind="cancel refused", detail={"reason": reason}, now_ms=now_ms, order_id=order_id)
    tell(db, order_id, now_ms)
    return queries.get(db, order_id)


def tell(db: Connection, order_id: int, now_ms: int) -> None:
    """Note that the order's card must be drawn again."""
    chat_id = db.execute("SELECT chat_id FROM orders WHERE id=?", (order_id,)).fetchone()["chat_id"]
    _tell(db, order_id, chat_id, now_ms)


def _tell(db: Connection, order_id: int, chat_id: int, now_ms: int) -> None:
    key = f"order:{order_id}"
    notices.tell(db, chat_id=chat_id, kind="order", order_id=order_id, merge_key=key, now_ms=now_ms)


def _refuse_while_in_doubt(db: Connection, account_id: int, symbol: str, side: Side, despite: Collection[int]) -> None:
    unnamed = [row for row in queries.in_doubt(db, account_id, symbol, side) if row.id not in despite]
    if unnamed:
        raise InDoubt(unnamed)


def _check_allowed(db: Connection, row: OrderRow, ceiling: Limits, now_ms: int) -> tuple[Limits, Facts]:
    halt.refuse(db, row.user_id, now_ms)
    own = limits.read(db, row.user_id, ceiling, now_ms)
    asked = allowance.order_of(row)
    allowance.check(db, own, asked, now_ms)
    return own, asked.facts


def _give_up_card(db: Connection, chat_id: int, message_id: int, now_ms: int) -> None:
    """Let another order have a card: the one it showed is drawn there no more."""
    query = "SELECT * FROM orders WHERE chat_id=? AND message_id=?"
    for found in db.execute(query, (chat_id, message_id)).fetchall():
        row = row_of(found)
        if row.state == "proposed":
            move(db, row, "expired", now_ms, reason="It was replaced by another preview.")
        elif not row.is_done:
            raise UserError(f"Order #{row.id} is under way; its card cannot be used for another.")
        db.execute("UPDATE orders SET message_id=NULL WHERE id=?", (row.id,))
        db.execute("DELETE FROM outbox WHERE order_id=?", (row.id,))


def move(
    db: Connection,
    row: OrderRow,
    state: State,
    now_ms: int,
    answer: Mapping[str, str] | None = None,
    **columns: Any,
) -> OrderRow:
    """Move an order that still is as `row` says, with the event that records it and the card that tells it.

    Args:
        db: The running transaction.
        row: The order as it was read.
        state: Where to.
        now_ms: The time.
        answer: What the exchange said, for the log of events.
        columns: What else changes in the row.

    Raises:
        IllegalTransition: The law does not lead there, or the order moved meanwhile. Nothing was changed.
    """
    if state != row.state and state not in LAW[row.state]:
        raise IllegalTransition(f"order #{row.id} may not go from {row.state} to {state}")
    if columns.get("reason"):
        columns["reason"] = redactor.redact(columns["reason"])  # an exchange's words may repeat what it was sent
    news = {name: value for name, value in columns.items() if value not in (None, "") and name != "misses"}
    ours = {name: news.pop(name) for name in _OURS if name in news}
    if answer:
        news["answer"] = dict(answer)
    if state == "unknown":
        columns["doubted"] = 1
    names = "".join([f", {name}=?" for name in columns])
    found = db.execute(
        f"UPDATE orders SET state=?, updated_ms=?{names} WHERE id=? AND state=? RETURNING *",  # noqa: S608  # our names
        (state, now_ms, *columns.values(), row.id, row.state),
    ).fetchone()
    if found is None:
        raise IllegalTransition(f"order #{row.id} is no longer {row.state}")
    moved = row_of(found)
    events.record(db, kind=state, detail=news, ours=ours, now_ms=now_ms, user_id=row.user_id, order_id=row.id)
    _tell(db, row.id, moved.chat_id, now_ms)
    if moved.state != row.state:
        groups.post_fill(db, moved, now_ms)
    return moved
