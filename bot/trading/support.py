"""The form that an exchange's support asks for, filled in from what the bot knows of one order.

Seven items, as BTCC's help page wants them; other exchanges ask for some of these. No secret is among what is known
here: a request is described as the plugin yields it, before it is signed. The text before signing is left out on
purpose: at BTCC the secret key is part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.contract.errors import ExchangeError, UserError
from bot.contract.models import Account, ExchangeInfo
from bot.contract.wire import Request
from bot.exchanges.registry import Registered
from bot.redact import redactor
from bot.store.database import Connection
from bot.trading import events, queries
from bot.trading.orders import OrderRow

_MOST_WORDS = 1000
_UNKNOWN = "not known to the bot"

Life = Sequence[tuple[int, str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Case:
    """What the journal knows of an order that somebody asks about.

    Attributes:
        row: The order.
        life: Its events as (time in UTC ms, kind, detail), oldest first.
    """

    row: OrderRow
    life: Life


def answer_of(error: Exception) -> dict[str, str]:
    """Return what an exchange said of a request that failed, for the log of events; empty when it said nothing."""
    if not isinstance(error, ExchangeError):
        return {}
    words = error.detail or error.message
    told = {"code": error.code, "status": str(error.status or ""), "words": words[:_MOST_WORDS]}
    return {name: value for name, value in told.items() if value}


def case(db: Connection, order_id: int, user_id: int) -> Case:
    """Return what is known of one of the person's orders, inside the caller's transaction.

    Raises:
        UserError: It is not theirs, was on paper, or was never sent.
    """
    row = queries.get_own(db, order_id, user_id)
    if row.exchange.endswith(":paper"):
        raise UserError(f"Order #{order_id} was on paper: no exchange knows it. /order {order_id} shows its life.")
    if row.sent_ms is None and not row.external:
        text = f"Order #{order_id} was never sent: the exchange does not know it. /order {order_id} shows its life."
        raise UserError(text)
    return Case(row, events.timeline(db, order_id))


def request_of(registered: Registered, account: Account, row: OrderRow) -> Request | None:
    """Return the unsigned request that placed an order, as the plugin makes it. Nothing is sent, no guard is asked.

    `None` where the plugin cannot make it again, or asks the exchange something else first.
    """
    made = next(
        (each for each in registered.hook.place_order.get_hookimpls() if each.plugin is registered.plugin.module), None
    )
    if made is None or not row.client_order_id:
        return None
    known = {"account": account, "order": row.order}
    try:
        flow = made.function(**{name: known[name] for name in made.argnames})
        try:
            request = next(flow)
        finally:
            flow.close()
    except Exception:
        return None  # a form with a gap is better than none
    return request if isinstance(request, Request) and request.places else None


def form(found: Case, info: ExchangeInfo, request: Request | None, *, origin: str | None = None) -> str:
    """Return the form as plain text, without secrets.

    Args:
        found: The order and its life.
        info: The exchange's constants.
        request: What `request_of` returned.
        origin: The exchange's address, where the configuration has another than the plugin.
    """
    row = found.row
    items = (
        ("Description", _description(row, info)),
        ("UID and order id", _ids(row, info)),
        ("Full request URL", _url(request, info, origin)),
        ("Parameters (JSON)", _parameters(request)),
        ("Response (JSON)", _response(row, found.life)),
        ("When, and how often", _times(row, found.life)),
        (
            "String before signing",
            "Left out on purpose. It is made for one moment and kept nowhere, and at some exchanges your secret key is "
            "part of it. Nobody who helps you needs it: do not send it, nor your keys.",
        ),
    )
    parts = [f"{info.title} support request, order #{row.id}"]
    parts += [f"{number}. {name}\n{text}" for number, (name, text) in enumerate(items, 1)]
    parts.append("Times are UTC. Amounts are as they were sent. Nothing in this file is a secret.")
    return redactor.redact("\n\n".join(parts)) + "\n"


def _description(row: OrderRow, info: ExchangeInfo) -> str:
    order = row.order
    price = "at market" if order.price is None else f"at {order.price:f}"
    what = f"{row.side} {row.symbol}, {order.type} order for {row.params['size']} ({row.params['size_in']}) {price}."
    state = f"Its state here is {row.state.replace('_', ' ')}."
    why = f"The reason: {row.reason}" if row.reason else ""
    return "\n".join(filter(None, (f"A spot order through the {info.title} API: {what}", state, why)))


def _ids(row: OrderRow, info: ExchangeInfo) -> str:
    return "\n".join(
        (
            f"UID: {_UNKNOWN}; {info.title} shows it in your profile. Write it here: ",
            f"Order id: {row.exchange_order_id or f'none; {info.title} gave none, or its answer did not arrive'}",
            f"Client order id: {row.client_order_id or 'none'}",
        )
    )


def _url(request: Request | None, info: ExchangeInfo, origin: str | None) -> str:
    if request is None:
        return _UNKNOWN
    address = f"{(origin or info.hosts[request.host]).rstrip('/')}{request.path}"
    return f"{request.method} {address}\nWhat signing added to it is left out."


def _parameters(request: Request | None) -> str:
    if request is None:
        return _UNKNOWN
    both = {name: value for name, value in (("query", dict(request.query)), ("body", request.json)) if value}
    shown = next(iter(both.values())) if len(both) == 1 else both
    return json.dumps(shown, indent=2, ensure_ascii=False, default=str)


def _response(row: OrderRow, life: Life) -> str:
    for _, _, detail in reversed(life):
        answer = detail.get("answer")
        if isinstance(answer, Mapping):
            return json.dumps(dict(answer), indent=2, ensure_ascii=False)
    if row.exchange_order_id:
        return f"Accepted, with the order id {row.exchange_order_id}."
    return "No answer arrived." if row.state in ("unknown", "needs_human", "not_placed") else _UNKNOWN


def _times(row: OrderRow, life: Life) -> str:
    lines = [f"{_time(at_ms)} {kind.replace('_', ' ')}" for at_ms, kind, _ in life]
    sent = "" if row.sent_ms is None else f"Sent once, {_time(row.sent_ms)}. The bot never sends an order again."
    return "\n".join(filter(None, (sent, *lines)))


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
