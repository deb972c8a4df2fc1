"""What the outbox sends: one renderer per kind of notice, and the digest of what piled up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from bot.alerts import rows
from bot.chat import alert_cards
from bot.chat.render import card, summary
from bot.chat.reply import Reply, unpacked
from bot.chat.text import Text
from bot.store.database import Connection
from bot.trading import notices, queries
from bot.trading.approval import name_of
from bot.trading.confirm import Button
from bot.trading.gateway import Gateway
from bot.trading.journal import APPROVAL_SECONDS
from bot.trading.notices import Notice

DIGEST_FROM = 5
DIGEST_AFTER_MS = 60_000
_NAMED_ORDERS = 15
_NAMED_ALERTS = 10


def _nothing_more(_: Connection, message_id: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Drawn:
    """A notice, ready to be sent.

    Attributes:
        reply: What to say.
        user_id: The only person whose presses count; 0 without buttons.
        message_id: The message to edit, or `None`.
        sent: Called with the message's id in the transaction that strikes the notice out.
        sums_up: Whether it is a digest: what it sums up is left to be drawn.
        is_silent: Whether it makes no sound.
    """

    reply: Reply
    user_id: int = 0
    message_id: int | None = None
    sent: Callable[[Connection, int], None] = _nothing_more
    sums_up: bool = False
    is_silent: bool = False


Renderer: TypeAlias = Callable[[Connection, Notice], Drawn]
"""Draws a notice from the database as it is now. It runs in the database's thread and must not wait for anything."""


def renderers(gateway: Gateway) -> Mapping[str, Renderer]:
    """Return how each kind of notice is drawn.

    Args:
        gateway: Knows the exchanges' titles.
    """

    def order(db: Connection, notice: Notice) -> Drawn:
        return _order_card(db, notice, gateway)

    def approval(db: Connection, notice: Notice) -> Drawn:
        return _approval(db, notice, gateway)

    return {
        "order": order,
        "order_news": _order_news,
        "reply": _kept_reply,
        "note": _note,
        "approval": approval,
        "alert": _alert,
    }


def digest(db: Connection, chat_id: int, kinds: Mapping[str, Renderer], now_ms: int) -> Drawn:
    """Draw everything that waits in a chat as one message. Once sent, cards are still drawn, alerts are done with."""
    found = notices.backlog(db, chat_id, most_orders=_NAMED_ORDERS, most_alerts=_NAMED_ALERTS)
    text = Text().bold("While I could not reach you").line(f" · {_clock(found.since_ms)} to {_clock(now_ms)} UTC")
    orders = sum(found.states.values())
    if orders:
        counted = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in found.states.items())
        text.line(f"Orders: {counted}.")
        for order_id in found.orders:
            text.line(summary(queries.get(db, order_id)))
        if orders > len(found.orders):
            text.line(f"… and {orders - len(found.orders)} more; /history lists them.")
        text.line("Their cards are brought up to date after this.")
    if found.others:
        text.line(f"Other messages: {found.others}; they follow.")
    if found.alerts:
        text.line(f"Alerts: {found.alerts}.")
        for alert in found.newest_alerts:
            text.line(_first_line(db, alert, kinds))
        shown = sum(alert.happened for alert in found.newest_alerts)
        if found.alerts > shown:
            text.line(f"… and {found.alerts - shown} earlier ones.")

    def sent(db: Connection, _: int) -> None:
        notices.summed_up(db, chat_id, found.until_id)

    return Drawn(Reply(text), sent=sent, sums_up=True)


def is_digest_due(db: Connection, notice: Notice, now_ms: int) -> bool:
    """Say whether so much waited for so long in a chat that it is summed up before anything is told one by one."""
    is_old = now_ms - notice.created_ms >= DIGEST_AFTER_MS
    return notice.lane != "refresh" and is_old and notices.has_backlog(db, notice.chat_id, DIGEST_FROM)


def _order_card(db: Connection, notice: Notice, gateway: Gateway) -> Drawn:
    assert notice.order_id is not None
    row = queries.get(db, notice.order_id)
    label = db.execute("SELECT label FROM accounts WHERE id=?", (row.account_id,)).fetchone()["label"]
    exchange = gateway.exchanges.get(row.exchange)
    title, mark = (exchange.info.title, exchange.info.mark) if exchange else (row.exchange, "")

    def sent(db: Connection, message_id: int) -> None:
        if message_id != row.message_id:
            db.execute("UPDATE orders SET message_id=? WHERE id=?", (message_id, row.id))

    return Drawn(card(row, account=label, exchange=title, mark=mark), row.user_id, row.message_id, sent)


def _approval(db: Connection, notice: Notice, gateway: Gateway) -> Drawn:
    """Show an order to the second person, with a button that is theirs alone."""
    drawn = _order_card(db, notice, gateway)
    assert notice.order_id is not None
    row = queries.get(db, notice.order_id)
    if row.state != "proposed":
        text = Text().line(summary(row)).plain("It no longer waits for approval.")
        return Drawn(Reply(text), notice.payload["user_id"])
    text = Text().bold("Approve this order?").line(f" · asked by {name_of(db, row.user_id)}").add(drawn.reply.text)
    yes = Button("✅ Approve", "approve", {}, row.id, row.params_hash, APPROVAL_SECONDS, "success")
    return Drawn(Reply(text, ((yes,),)), notice.payload["user_id"])


def _order_news(db: Connection, notice: Notice) -> Drawn:
    """Say in a message of its own what the order's card, which may be far up the chat, says as well."""
    assert notice.order_id is not None
    row = queries.get(db, notice.order_id)
    keys = (Button(f"#{row.id}", "order", order_id=row.id),)
    return Drawn(Reply(Text().line(summary(row)).plain(row.reason), (keys,)), row.user_id)


def _note(_: Connection, notice: Notice) -> Drawn:
    return Drawn(Reply(Text().plain(notice.payload["text"])))


def _alert(db: Connection, notice: Notice) -> Drawn:
    found = rows.get(db, notice.payload["id"])
    reply = alert_cards.fired(notice.payload, found, notice.happened, notice.created_ms)
    return Drawn(reply, notice.payload["user_id"])


def _kept_reply(_: Connection, notice: Notice) -> Drawn:
    payload = notice.payload
    return Drawn(unpacked(payload["reply"]), payload["user_id"], payload["message_id"])


def _first_line(db: Connection, notice: Notice, kinds: Mapping[str, Renderer]) -> str:
    line = kinds[notice.kind](db, notice).reply.text.text.strip().partition("\n")[0] if notice.kind in kinds else ""
    return f"{line} ({notice.happened} times)" if notice.happened > 1 else line


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%H:%M")
